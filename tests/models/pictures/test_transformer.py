"""Transformers over patches: where these stand, and what they look at."""

from dataclasses import replace

import pytest
import torch

from regard import InputError, watch
from regard.catalog import MECHANISMS, POSITIONS
from regard.models.options import ClassifierOptions, ImageTransformerOptions
from regard.models.pictures import ImageSizes, build_classifier

SMALL = ImageTransformerOptions(d_model=16, num_layers=1, num_heads=2, d_feedforward=8, dropout=0.0)


def made(height=16, width=24, **options):
    torch.manual_seed(0)
    chosen = ClassifierOptions("transformer", dropout=0.0, transformer=replace(SMALL, **options))
    return build_classifier(chosen, ImageSizes(5, 1, height, width))


def pictures(height=16, width=24):
    torch.manual_seed(1)
    return torch.randn(2, 1, height, width)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_every_mechanism_can_be_its_attention(mechanism):
    assert made(mechanism=mechanism)(pictures()).isfinite().all()


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("tokenizer", ["patches", "convolutions"])
def test_every_position_tells_patches_apart(position, tokenizer):
    model = made(position=position, tokenizer=tokenizer, pool="mean").eval()
    moved = pictures().roll(8, 2)
    rolled = model.features(pictures()).roll(2, 2)
    assert (model.features(moved) - rolled)[:, :, 3:].abs().max() > 1e-3


def test_rotary_positions_know_how_many_patches_are_in_a_row():
    assert made().body.layers[0].attention.position.width == 6


def test_more_patches_than_a_learned_position_usually_knows():
    assert made(100, 100, position="learned").features(pictures(100, 100)).shape == (2, 16, 25, 25)


@pytest.mark.parametrize(("tokenizer", "reach"), [("patches", 0), ("convolutions", 2)])
def test_states_stand_where_their_patch_is(tokenizer, reach):
    model, changed = made(32, 48, tokenizer=tokenizer), pictures(32, 48)
    for last in (model.body.layers[0].attention.out, model.body.layers[0].feedforward.down):
        torch.nn.init.zeros_(last.weight)
    changed[:, :, 12:16, 24:28] += 3.0
    is_changed = (model.features(changed) - model.features(pictures(32, 48))).abs().amax((0, 1)) > 1e-4
    near = torch.zeros(8, 12, dtype=torch.bool)
    near[3 - reach : 4 + reach, 6 - reach : 7 + reach] = True
    assert is_changed[3, 6]
    assert not (is_changed & ~near).any()


@pytest.mark.parametrize("tokenizer", ["patches", "convolutions"])
@pytest.mark.parametrize(("patch", "grid"), [(1, (9, 14)), (2, (5, 7)), (4, (3, 4)), (8, (2, 2))])
def test_a_patch_is_of_the_size_that_was_asked_for(tokenizer, patch, grid):
    model = made(9, 14, tokenizer=tokenizer, patch=patch)
    assert model.features(pictures(9, 14)).shape == (2, 16, *grid)


def test_a_picture_that_patches_do_not_fill_goes_on_to_the_right_and_below():
    tokens, pixels = made(tokenizer="patches").tokens, pictures(6, 9)
    whole = torch.zeros(2, 1, 8, 12)
    whole[:, :, :6, :9] = pixels
    torch.testing.assert_close(tokens(pixels), tokens(whole))


def test_convolutions_halve():
    with pytest.raises(InputError, match="patch must be a power of two"):
        ImageTransformerOptions(patch=6)
    assert made(18, 18, tokenizer="patches", patch=6)(pictures(18, 18)).shape == (2, 5)


@pytest.mark.parametrize(("pool", "num_keys"), [("attention", 24), ("class", 25)])
def test_the_lens_sees_how_a_picture_becomes_one_vector(pool, num_keys):
    model = made(pool=pool).eval()
    with watch(model) as lens, torch.no_grad():
        model(pictures())
    seen, pooled = lens.readings
    assert seen.statistics.block_map.shape[-2:] == (24, 24)
    assert pooled.statistics.block_map.shape[-2:] == (1, num_keys)


def test_pictures_are_of_the_size_it_was_made_for():
    with pytest.raises(InputError, match="must be of 16×24 pixels, as those it was made for, got 24×16"):
        made()(pictures(24, 16))
