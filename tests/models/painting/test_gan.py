import pytest
import torch
from torch import nn

import regard
from regard.errors import InputError
from regard.models.options import GanOptions
from regard.models.painting.blocks import attention_of
from regard.models.painting.differentiable import changed
from regard.models.painting.gan import Gan, frozen
from regard.models.painting.painter import PaintSizes

SMALL = {"d_latent": 6, "widths": (8, 8), "attention_at": (4,), "penalty_steps": 2}


def gan(num_classes=0, channels=1, **options):
    torch.manual_seed(0)
    made = Gan(GanOptions(**SMALL | options), PaintSizes(channels, 8, num_classes))
    for module in made.modules():
        if hasattr(module, "gain") and not isinstance(module, nn.BatchNorm2d) and module.gain.dim() == 0:
            nn.init.constant_(module.gain, 0.7)  # attention would else not be felt
    return made


def pixels(count=4, channels=1, seed=1):
    return torch.rand(count, channels, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def gradients(module, scalar):
    return torch.autograd.grad(scalar, list(module.parameters()), retain_graph=True)


@pytest.mark.parametrize("objective", ["hinge", "relativistic"])
def test_one_backward_is_that_of_both_losses_by_themselves(objective):
    both = gan(objective=objective, penalty=0.0).eval()  # eval: spectral norms and batch norms stay as they are
    real, state = pixels(), torch.get_rng_state()
    both.loss({"pixels": real}).backward()
    torch.set_rng_state(state)
    made = both.generator(torch.randn(4, 6))
    by_real, by_made = both.discriminator(real), both.discriminator(made)
    if objective == "hinge":
        first = (1 - by_real).clamp(min=0).mean() + (1 + by_made).clamp(min=0).mean()
        second = -by_made.mean()
    else:
        first = torch.log1p(torch.exp(by_made - by_real)).mean()
        second = torch.log1p(torch.exp(by_real - by_made)).mean()
    wanted = [*gradients(both.generator, second), *gradients(both.discriminator, first)]
    given = [one.grad for one in [*both.generator.parameters(), *both.discriminator.parameters()]]
    for one, other in zip(given, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_what_is_frozen_gets_no_gradient_and_passes_it_on():
    layer, x = nn.Linear(2, 1), torch.ones(1, 2, requires_grad=True)
    with frozen(layer):
        score = layer(x)
    score.sum().backward()
    assert layer.weight.grad is None
    assert x.grad is not None
    assert layer.weight.requires_grad


def test_the_penalty_is_half_the_mean_square_of_the_slope():
    made, real = gan(penalty=3.0).eval().double(), pixels().double()
    slopes = []
    for one in real:  # by finite differences, a picture at a time
        step, rows = 1e-6, torch.eye(64, dtype=torch.float64).view(64, 1, 8, 8)
        with torch.no_grad():
            slopes.append((made.discriminator(one + step * rows) - made.discriminator(one - step * rows)) / (2 * step))
    wanted = 1.5 * torch.stack(slopes).square().sum(1).mean()
    torch.testing.assert_close(made.penalty(real), wanted, atol=1e-7, rtol=1e-5)


def test_the_discriminator_has_second_derivatives_through_its_attention():
    judge = gan(widths=(4, 4)).eval().double().discriminator
    x = pixels(2).double().requires_grad_()
    assert torch.autograd.gradgradcheck(judge, (x,), atol=1e-4)


def test_the_penalty_has_the_gradients_of_finite_differences():
    made, real = gan(widths=(4, 4)).eval().double(), pixels(2).double()
    look = next(module for module in made.discriminator.modules() if hasattr(module, "query"))
    weight = look.query.parametrizations.weight.original
    made.penalty(real).backward()
    assert weight.grad.abs().max() > 0
    place, step = (0, 0, 0, 0), 1e-6
    found = []
    for sign in (1, -1):
        with torch.no_grad():
            weight[place] += sign * step
        found.append(made.penalty(real).item())
        with torch.no_grad():
            weight[place] -= sign * step
    assert float(weight.grad[place]) == pytest.approx((found[0] - found[1]) / (2 * step), rel=1e-4, abs=1e-8)


def test_the_penalty_comes_every_so_many_steps_and_the_count_is_kept():
    made = gan(penalty=1.0, penalty_steps=3).train()
    found = []
    made.penalty = lambda *_: found.append(int(made.num_losses)) or torch.zeros(())
    for _ in range(7):
        made.loss({"pixels": pixels()})
    assert found == [0, 3, 6]
    assert int(made.state_dict()["num_losses"]) == 7


def test_every_product_of_the_discriminator_has_norm_one():
    judge = gan(widths=(16, 8)).discriminator.train()
    for _ in range(60):
        judge(pixels())
    judge.eval()
    for module in judge.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            assert torch.linalg.matrix_norm(module.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)


def test_both_have_rates_of_their_own_and_no_momentum():
    made = gan(discriminator_rate=4.0)
    painter, judge = made.parameter_groups()
    assert "rate" not in painter
    assert judge["rate"] == 4.0
    assert painter["betas"] == judge["betas"] == (0.0, 0.99)
    assert len(painter["params"]) + len(judge["params"]) == len(list(made.parameters()))


def test_a_class_changes_what_is_painted_and_how_it_is_judged():
    made = gan(num_classes=3).eval()
    nn.init.normal_(made.generator.last_norm.gain)
    noise = torch.randn(1, 6).expand(3, 6)
    painted = made.paint(noise, torch.arange(3))
    assert (painted[0] - painted[1]).abs().max() > 1e-3
    judged = made.judge(pixels(1).expand(3, 1, 8, 8), torch.arange(3))
    assert len({round(one.realness, 5) for one in judged}) == 3


def test_a_picture_does_not_depend_on_the_others():
    made, noise = gan().eval(), torch.randn(5, 6)
    torch.testing.assert_close(made.paint(noise)[2], made.paint(noise[2:3])[0])


def test_both_halves_are_seen_by_the_lens():
    made = gan(attention_at=(4, 8)).eval()
    with regard.watch(made) as lens:
        made.observe(made.paint(torch.randn(1, 6)))
    assert [lens[name].shape[2:] for name in lens.layers] == [(16, 16), (64, 64), (64, 64), (16, 16)]


def test_without_attention_there_is_none():
    assert not any(hasattr(module, "query") for module in gan(attention_at=()).modules())
    assert isinstance(attention_of(8, 4, (), "softmax"), nn.Identity)


def test_any_mechanism_of_the_catalog_looks():
    made = gan(mechanism="linear", penalty_steps=1)
    made.loss({"pixels": pixels()}).backward()
    assert all(one.grad is not None for one in made.parameters())


@pytest.mark.parametrize(
    ("options", "size", "message"),
    [
        ({"attention_at": (3,)}, 8, "attention_at must be sides of maps, which are 4, 8; got 3"),
        ({"widths": (8, 8, 8)}, 10, "must be a multiple of 4, 8 at least, got 10"),
        ({"widths": (8, 0)}, 8, "widths must be channels of maps, each at least 1"),
    ],
)
def test_what_does_not_fit_is_told(options, size, message):
    with pytest.raises(InputError, match=message):
        Gan(GanOptions(**SMALL | options), PaintSizes(1, size))


def test_colours_change_within_bounds_and_gradients_pass():
    torch.manual_seed(0)
    x = pixels(64, 3).requires_grad_()
    made = changed(x, ("colour", "move", "cut"))
    assert made.shape == x.shape
    made.sum().backward()
    assert x.grad.abs().sum() > 0


def test_grey_is_not_coloured():
    x = torch.zeros(16, 3, 8, 8) + 0.25
    made = changed(x, ("colour",))
    torch.testing.assert_close(made[:, 0], made[:, 1])


def test_a_picture_moves_by_at_most_an_eighth():
    torch.manual_seed(0)
    x = torch.zeros(200, 1, 8, 8)
    x[:, :, 4, 4] = 1
    places = {tuple(place.tolist()) for place in changed(x, ("move",)).nonzero()[:, 2:]}
    assert places == {(row, column) for row in (3, 4, 5) for column in (3, 4, 5)}


def test_a_square_of_half_the_side_is_cut_out():
    torch.manual_seed(0)
    left = changed(torch.ones(400, 1, 8, 8), ("cut",))
    sizes = (left == 0).flatten(1).sum(1)
    assert int(sizes.max()) == 16
    assert int(sizes.min()) >= 4  # over the edge of a corner
    assert (left.mean((0, 1)) < 1).all()  # it reaches every place


def test_settled_maps_are_normal_for_the_weights_there_are():
    made = gan()
    for norm in (module for module in made.generator.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.running_mean += 5  # as if of other weights
    batches = [{"noise": torch.randn(32, 6)} for _ in range(8)]
    made.settle(iter(batches))
    assert not made.training
    maps = []
    norm = made.generator.blocks[0].norms[0].norm
    norm.register_forward_hook(lambda module, given, out: maps.append(out.detach()))
    for batch in batches:
        made.paint(batch["noise"])
    found = torch.cat(maps).transpose(0, 1).flatten(1)
    torch.testing.assert_close(found.mean(1), torch.zeros(8), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.var(1), torch.ones(8), atol=0.1, rtol=0)
