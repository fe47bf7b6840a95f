"""flex_attention is read exactly, by whatever name it was imported, with its functions of scores and of positions."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.nn.attention import flex_attention as flex_module
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

import regard
from regard.attention.masks import EMPTY, FULL, PARTIAL, edges
from regard.lens.readers.flex import mask_of
from tests.lens.definitions import assert_as_defined

pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
LENGTH = 150
DOCUMENTS = torch.arange(LENGTH) // 60
SLOPES = torch.tensor([0.5, 0.1, 0.02, 0.3])


class Flex(nn.Module):
    """A model that calls flex_attention by a name of its own."""

    def __init__(self, **options):
        super().__init__()
        self.options = options

    def forward(self, query, key, value):
        return flex_attention(query, key, value, **self.options)


def same_document(batch, head, query, key):
    return (DOCUMENTS[query] == DOCUMENTS[key]) & (query >= key)


def per_head(batch, head, query, key):
    return (query - key).abs() <= 5 + 20 * head + batch


def slope(score, batch, head, query, key):
    return score - SLOPES[head] * (query - key).abs() + 0.1 * batch


def capped(score, batch, head, query, key):
    return 2 * torch.tanh(score / 2)


MASKS = {
    "no mask": lambda: None,
    "documents": lambda: create_block_mask(same_document, None, None, LENGTH, LENGTH, device="cpu"),
    "per head": lambda: create_block_mask(per_head, 2, 4, LENGTH, LENGTH, device="cpu", BLOCK_SIZE=64),
    "unequal blocks": lambda: create_block_mask(same_document, None, None, LENGTH, LENGTH, device="cpu", BLOCK_SIZE=(32, 64)),
}
MODS = {"none": None, "slope": slope, "capped": capped}


def vectors(num_kv_heads=4):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, heads, LENGTH, 8, generator=generator) for heads in (4, num_kv_heads, num_kv_heads)]


def materialised(query, key, score_mod, mask_mod, scale):
    """Scores by loops of broadcasting, −inf where nobody may look."""
    scores = query @ key.repeat_interleave(4 // key.shape[1], 1).mT * scale
    sides = zip((2, 4, LENGTH, LENGTH), ((-1, 1, 1, 1), (1, -1, 1, 1), (1, 1, -1, 1), (1, 1, 1, -1)), strict=True)
    places = [torch.arange(size).view(side) for size, side in sides]
    scores = scores if score_mod is None else score_mod(scores, *places)
    return scores if mask_mod is None else scores.masked_fill(~mask_mod(*places), float("-inf"))


@pytest.mark.parametrize("mod", MODS.values(), ids=MODS)
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_scores_and_masks_that_are_functions_are_read_exactly(mask, mod):
    block_mask, (query, key, value) = mask(), vectors(2)
    model = Flex(score_mod=mod, block_mask=block_mask, enable_gqa=True, scale=0.7)
    without = model(query, key, value)
    with regard.watch(model) as lens:
        within = model(query, key, value)
    assert torch.equal(without, within)
    scores = materialised(query, key, mod, None if block_mask is None else block_mask.mask_mod, 0.7)
    assert_as_defined(lens["Flex"].statistics, scores.double().softmax(-1), scores)
    assert not lens.unseen


@pytest.mark.parametrize("name", MASKS)
def test_what_is_said_of_tiles_is_so(name):
    if (block_mask := MASKS[name]()) is None:
        return
    mask, sides = mask_of(block_mask), edges(LENGTH, 48)
    known = mask.tiles(*sides, *sides)
    whole = mask.write((2, 4), range(LENGTH), range(LENGTH)).expand(2, 4, -1, -1)
    for row, (top, bottom) in enumerate(zip(*sides, strict=True)):
        for column, (left, right) in enumerate(zip(*sides, strict=True)):
            tile = whole[:, :, top : bottom + 1, left : right + 1].flatten(2)
            state = known[:, :, row, column]
            assert not (tile.any(-1) & (state == EMPTY)).any()
            assert (tile.all(-1) | (state != FULL)).all()
    assert (known == EMPTY).any()
    assert (known == PARTIAL).any()


def test_places_may_come_in_any_shape():
    mask = mask_of(create_block_mask(same_document, None, None, LENGTH, LENGTH, device="cpu"))
    zero, query, key = torch.zeros(4, dtype=torch.long), torch.tensor([0, 70, 70, 140]), torch.tensor([0, 5, 65, 141])
    assert mask.allows(zero, zero, query, key).tolist() == [True, False, True, False]


def test_a_function_that_no_broadcasting_can_evaluate_is_read():
    def gathered(score, batch, head, query, key):
        return score + SLOPES.index_select(0, head.view(1)).view(())

    query, key, value = vectors()
    model = Flex(score_mod=gathered)
    with regard.watch(model) as lens:
        model(query, key, value)
    scores = query @ key.mT / 8**0.5 + SLOPES[:, None, None]
    torch.testing.assert_close(lens[0].statistics.logsumexp, scores.logsumexp(-1))


def test_some_heads_of_it_can_be_read_alone():
    query, key, value = vectors()
    model = Flex(score_mod=slope)
    with regard.watch(model, heads=[3, 1]) as lens:
        model(query, key, value)
    scores = materialised(query, key, slope, None, 8**-0.5)[:, [3, 1]]
    assert_as_defined(lens[0].statistics, scores.double().softmax(-1), scores)


class Failing(nn.Module):
    """A model that breaks while it is watched."""

    def forward(self, code):
        assert flex_attention.__code__ is not code
        raise ZeroDivisionError


def test_the_function_is_itself_again_afterwards():
    before = flex_attention.__code__
    with pytest.raises(ZeroDivisionError), regard.watch(model := Failing()):
        model(before)
    assert flex_attention.__code__ is before
    assert sys.modules["torch.nn.attention.flex_attention"].flex_attention is flex_module.flex_attention


def test_a_thread_that_watches_nothing_is_let_alone():
    query, key, value = vectors()
    model = Flex()
    expected = model(query, key, value)
    with regard.watch(model) as lens, ThreadPoolExecutor(1) as threads:
        found = threads.submit(flex_attention, query, key, value).result()
        model(query, key, value)
    assert torch.equal(found, expected)
    assert lens.totals["Flex"].num_calls == 1
