"""One token a row through products alone: the same as the stack, and only where the stack is a plain one."""

import pytest
import torch
from torch import nn

import regard
from regard.attention.masks import causal, padding, window
from regard.attention.positions.position import Position
from regard.models.decoding import Decoder
from regard.models.options import TransformerOptions
from regard.models.transformer import Transformer

WIDTH = 16


def stack_of(mask=causal, *, has_memory=False, **options):
    """A small one in float64, whose weights are large enough for attention to be uneven."""
    torch.manual_seed(0)
    made = Transformer(
        TransformerOptions(**{"d_model": WIDTH, "num_heads": 4, "num_layers": 2, "d_feedforward": 24} | options),
        mask,
        has_memory=has_memory,
    )
    for weights in made.parameters():
        nn.init.normal_(weights, std=0.5)
    return made.double().eval()


def by_the_stack(stack):
    """As a decoder is called."""
    return lambda x, cache, memory, mask: stack(x, memory=memory, memory_mask=mask, cache=cache)


def both(stack, steps, rows=3, **memory):
    """What the stack and a decoder say of the same tokens: some at once, then one by one."""
    torch.manual_seed(1)
    inputs = [torch.randn(rows, length, WIDTH, dtype=torch.float64) for length in (3, *[1] * steps)]
    decoder, caches = Decoder(stack), (stack.new_cache(), stack.new_cache())
    with torch.no_grad():
        ours = [decoder(x, caches[0], *memory.values()) for x in inputs]
        theirs = [stack(x, cache=caches[1], **memory) for x in inputs]
    return decoder, torch.cat(ours, 1), torch.cat(theirs, 1)


@pytest.mark.parametrize("mask", [causal, window(4), window(0)], ids=str)
@pytest.mark.parametrize("position", ["rotary", "sinusoidal", "learned"])
@pytest.mark.parametrize("num_kv_heads", [0, 2, 1])
def test_the_states_are_those_of_the_stack(mask, position, num_kv_heads):
    decoder, ours, theirs = both(stack_of(mask, position=position, num_kv_heads=num_kv_heads), steps=12)
    assert decoder.layers
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("num_kv_heads", [0, 2])
@pytest.mark.parametrize("beam", [1, 3])
def test_those_with_a_memory_too_and_what_is_padding_is_not_looked_at(num_kv_heads, beam):
    stack = stack_of(has_memory=True, num_kv_heads=num_kv_heads, position="sinusoidal")
    memory = torch.randn(2, 5, WIDTH, dtype=torch.float64)
    memory[1, 3:] = 1e6
    decoder, ours, theirs = both(stack, 4, 2 * beam, memory=memory, memory_mask=padding(torch.tensor([5, 3])))
    assert decoder.layers
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mask", [causal, window(1, 1), padding(torch.tensor([5, 3]), torch.tensor([4, 4]))], ids=str)
def test_a_memory_of_which_queries_see_different_parts_is_left_to_the_stack(mask):
    stack, memory = stack_of(has_memory=True), torch.randn(2, 5, WIDTH, dtype=torch.float64)
    decoder, ours, theirs = both(stack, 4, 2, memory=memory, memory_mask=mask)
    assert decoder.layers
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_lengths_may_be_written_to():
    stack, memory = stack_of(has_memory=True), torch.randn(2, 5, WIDTH, dtype=torch.float64)
    decoder, caches, said = Decoder(stack), (stack.new_cache(), stack.new_cache()), []
    x = torch.randn(2, 3, WIDTH, dtype=torch.float64)
    for step, cache in ((decoder, caches[0]), (by_the_stack(stack), caches[1])):
        mask = padding(torch.tensor([5, 3]))
        with torch.no_grad():
            for one in x.split(1, 1):
                states = step(one, cache, memory, mask)
                mask.lengths[0] -= 1
        said.append(states)
    torch.testing.assert_close(said[0], said[1], rtol=0, atol=1e-12)


def test_rows_may_be_put_in_another_order_and_sentences_left_out():
    stack = stack_of(has_memory=True)
    assert Decoder(stack).layers
    memory, lengths = torch.randn(2, 5, WIDTH, dtype=torch.float64), torch.tensor([5, 3])
    x = torch.randn(4, 3, WIDTH, dtype=torch.float64)
    decoder, caches, said = Decoder(stack), (stack.new_cache(), stack.new_cache()), []
    with torch.no_grad():
        for step, cache in ((decoder, caches[0]), (by_the_stack(stack), caches[1])):
            step(x[:, :1], cache, memory, padding(lengths))
            step(x[:, 1:2], cache, memory, padding(lengths))
            cache.keep(torch.tensor([1]))
            cache.reorder(torch.tensor([3, 2]))
            said.append(step(x[2:, 2:], cache, memory[1:], padding(lengths[1:])))
    torch.testing.assert_close(said[0], said[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"mechanism": "linear"},
        {"mechanism": "softcap"},
        {"mechanism": "sink"},
        {"mechanism": "differential"},
        {"position": "alibi"},
    ],
    ids=str,
)
def test_what_is_not_plain_is_done_by_the_stack(options):
    decoder, ours, theirs = both(stack_of(**options), 5)
    assert not decoder.layers
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def of_another(stack):
    stack.layers[0].attention.query = type("Adapter", (nn.Linear,), {})(WIDTH, WIDTH).double().eval()


class Pushed(Position):
    """Turns that are no rotation: what is scaled before them is not what is scaled after them."""

    def turn(self, x, start=0):
        return x + 1


def changed(part, name, other):
    return lambda stack: setattr(getattr(stack.layers[0], part), name, other.double().eval())


CHANGES = {
    "a hook": lambda stack: stack.layers[1].feedforward.up.register_forward_hook(lambda *_: None),
    "a part of one's own": of_another,
    "a norm of heads": changed("attention", "norm", nn.LayerNorm(WIDTH // 4)),
    "a position of one's own": changed("attention", "position", Pushed()),
    "no bias": changed("attention", "query", nn.Linear(WIDTH, WIDTH, bias=False)),
    "no norm": lambda stack: setattr(stack.layers[0], "attention_norm", nn.Identity()),
    "a call of one's own": lambda stack: setattr(stack.layers[0], "forward", stack.layers[0].forward),
    "half of the digits": lambda stack: stack.bfloat16(),
    "dropout": lambda stack: stack.train(),
    "a mask that is none of the past": lambda stack: setattr(stack.layers[0].attention, "mask", window(2, 2)),
    "a backend by name": lambda stack: setattr(stack.layers[0].attention, "backend", "reference"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nor_is_what_was_changed(change):
    stack = stack_of()
    CHANGES[change](stack)
    assert not Decoder(stack).layers


def test_who_watches_sees_every_layer_and_a_gradient_goes_through():
    stack = stack_of()
    decoder, cache = Decoder(stack), stack.new_cache()
    x = torch.randn(1, 1, WIDTH, dtype=torch.float64)
    with torch.no_grad():
        decoder(x, cache)
        with regard.watch(stack) as seen:
            decoder(x, cache)
    assert len(seen.layers) == len(stack.layers)
    leaf = x.clone().requires_grad_()
    decoder(leaf, cache).sum().backward()
    assert leaf.grad.abs().sum() > 0
