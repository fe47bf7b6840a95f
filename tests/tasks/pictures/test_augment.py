"""Changed training pictures: what is moved, mixed and coloured, by hand and as laws."""

import pytest
import torch

from regard.models.options import AugmentOptions
from regard.tasks.pictures import augment
from regard.tasks.pictures.augment import augmented, mixed, rectangles
from regard.tasks.pictures.colours import COLOURS, equalize, posterize, solarize

PLAIN = AugmentOptions(flip=False, shift=0.0, area=1.0)


@pytest.fixture(autouse=True)
def dice():
    torch.manual_seed(0)


def noise(*shape):
    return torch.randint(256, shape, dtype=torch.uint8)


def test_nothing_asked_changes_nothing():
    pictures = list(noise(5, 3, 8, 8))
    assert torch.allclose(augmented(pictures, 8, PLAIN), torch.stack(pictures) / 255, atol=1e-5)


def test_a_mirrored_picture_is_the_picture_from_right_to_left():
    picture = noise(1, 6, 6)
    found = augmented([picture] * 40, 6, AugmentOptions(flip=True, shift=0.0))
    plain, mirrored = picture / 255, picture.flip(2) / 255
    is_plain = [torch.allclose(one, plain, atol=1e-5) for one in found]
    assert all(same or torch.allclose(one, mirrored, atol=1e-5) for one, same in zip(found, is_plain, strict=True))
    assert 5 < sum(is_plain) < 35


def test_a_shift_is_of_whole_pixels():
    picture = noise(1, 10, 10)
    values = set((picture / 255).flatten().tolist())
    found = augmented([picture] * 20, 10, AugmentOptions(flip=False, shift=0.2))
    near = torch.tensor(sorted(values))
    assert (found.flatten()[:, None] - near).abs().amin(1).max() < 1e-4
    assert len({tuple(one.flatten().mul(255).round().tolist()) for one in found}) > 5


def test_a_part_of_a_photo_is_at_least_the_area_asked():
    across = torch.arange(256, dtype=torch.uint8).expand(1, 128, 256)
    found = augmented([across] * 60, 32, AugmentOptions(flip=False, area=0.25))
    width = (found[:, 0, 16, -1] - found[:, 0, 16, 0]) * 255 / 31 * 32
    # the area is a share of the square of the shorter side, its sides at most 4/3 unlike
    assert width.min() > 128 * (0.25 * 3 / 4) ** 0.5 - 3
    assert width.max() < 128 * (4 / 3) ** 0.5 + 3
    assert width.max() - width.min() > 20


def test_a_whole_photo_is_cut_as_a_square_where_no_area_is_asked():
    down = torch.arange(128, dtype=torch.uint8)[:, None].expand(1, 128, 256)
    found = augmented([down] * 8, 16, AugmentOptions(flip=False, area=1.0))
    assert torch.allclose(found, found[0].expand_as(found))
    assert torch.allclose(found[0, 0, :, 0] * 255, torch.arange(16) * 8 + 3.5, atol=0.6)


def test_pictures_of_several_sizes_keep_their_places():
    pictures = [torch.full((1, 8, 8 + 4 * (n % 3)), 20 * n, dtype=torch.uint8) for n in range(10)]
    found = augmented(pictures, 8, AugmentOptions())
    assert (found.amax((1, 2, 3)) * 255).round().tolist() == [20 * n for n in range(10)]


@pytest.mark.parametrize("policy", ["trivial", "random"])
def test_a_policy_changes_most_pictures_and_stays_in_range(policy):
    pictures = list(noise(200, 3, 12, 12))
    found = augmented(pictures, 12, AugmentOptions(flip=False, shift=0.0, policy=policy))
    assert found.amin() >= 0
    assert found.amax() <= 1
    changed = (found - torch.stack(pictures) / 255).abs().amax((1, 2, 3)) > 0.02
    assert 0.6 < changed.float().mean() < 1


def test_the_same_dice_give_the_same_pictures():
    pictures, options = list(noise(20, 3, 12, 12)), AugmentOptions(policy="random", erase=0.5)
    torch.manual_seed(3)
    first = augmented(pictures, 12, options)
    torch.manual_seed(3)
    assert torch.equal(first, augmented(pictures, 12, options))


def test_a_quarter_turn_turns(monkeypatch):
    monkeypatch.setattr(augment, "TURN", torch.pi / 2)
    picture = noise(1, 6, 6)
    maps = augment._policy(torch.tensor([0]), torch.tensor([1.0]))
    grid = torch.nn.functional.affine_grid(maps, [1, 1, 6, 6], align_corners=False)
    found = torch.nn.functional.grid_sample(picture[None] / 255, grid, align_corners=False)
    assert torch.allclose(found[0], torch.rot90(picture / 255, 1, (1, 2)), atol=1e-5)


@pytest.mark.parametrize("name", COLOURS)
def test_colours_of_no_strength_change_nothing_that_they_need_not(name):
    x = noise(3, 3, 8, 8) / 255
    found = COLOURS[name](x, torch.zeros(3, 1, 1, 1))
    if name not in ("auto contrast", "equalize"):
        assert torch.allclose(found, x, atol=1e-6)
    assert found.shape == x.shape


def test_colours_by_hand():
    x = torch.tensor([0.0, 0.25, 0.5, 0.75]).view(1, 1, 2, 2)
    one = torch.ones(1, 1, 1, 1)
    assert solarize(x, 0.6 * one).flatten().tolist() == pytest.approx([0, 0.25, 0.5, 0.25])
    assert equalize(x, one).flatten().tolist() == pytest.approx([0.25, 0.5, 0.75, 1])
    assert posterize(x, one).flatten().tolist() == pytest.approx([0, 0, 64 / 255, 128 / 255])
    assert COLOURS["auto contrast"](x, one).flatten().tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert COLOURS["brightness"](x, -one).flatten().max() == pytest.approx(0.0075)


def test_erased_rectangles_have_the_share_asked():
    sides = torch.tensor([[0.5, 0.25]]).expand(50, 2)
    inside = rectangles(sides, (40, 40))
    assert (inside.flatten(1).sum(1) - 200).abs().max() <= 30
    assert len({tuple(one.nonzero()[0].tolist()) for one in inside}) > 10


def test_erasing_hits_the_share_of_pictures():
    found = augmented([torch.zeros(1, 16, 16, dtype=torch.uint8)] * 300, 16, AugmentOptions(flip=False, shift=0.0, erase=0.5))
    assert 0.4 < (found.amax((1, 2, 3)) == 0.5).float().mean() < 0.6


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixed_targets_are_what_the_pictures_show(kind):
    # picture n is all n, so that what is left of it can be seen
    numbers = torch.arange(8.0)
    pictures, targets = numbers.view(-1, 1, 1, 1).expand(8, 1, 64, 64), torch.eye(8)
    for _ in range(5):
        found, shares = mixed(pictures, targets, AugmentOptions(**{kind: 1.0}))
        assert torch.allclose(shares.sum(1), torch.ones(8))
        assert torch.allclose(found.mean((1, 2, 3)), shares @ numbers, atol=1e-4)


def test_without_mixing_targets_stay():
    pictures, targets = torch.rand(4, 1, 4, 4), torch.eye(4)
    assert mixed(pictures, targets, AugmentOptions()) == (pictures, targets)
