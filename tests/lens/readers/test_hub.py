"""The table of transformers through which models call attention: what its kernels hide is read before them, or said."""

import pytest
import torch
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

import regard
from tests.lens.definitions import assert_as_defined
from tests.lens.test_families import GROUPED, IDS, RIGHT, built

transformers = pytest.importorskip("transformers", reason="families of the hub need transformers")
from transformers import masking_utils  # noqa: E402
from transformers.integrations import flex_attention as hub_flex  # noqa: E402
from transformers.modeling_utils import AttentionInterface  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")


@pytest.fixture
def uncompiled(monkeypatch):
    """flex_attention as transformers calls it, but for the compiler, which takes long."""

    def plain(query, key, value, training=False, **options):
        return flex_attention(query, key, value, **options)

    def plain_mask(*given, _compile, **options):
        return create_block_mask(*given, **options)

    monkeypatch.setattr(hub_flex, "compile_friendly_flex_attention", plain)
    monkeypatch.setattr(masking_utils, "create_block_mask", plain_mask)


@pytest.mark.parametrize("name", ["Llama", "Mistral", "Gemma2"])
def test_functions_of_flex_attention_are_read_as_the_model_meant_them(uncompiled, name):
    inputs, more = {"input_ids": IDS, "attention_mask": RIGHT}, {} if name == "Llama" else {"sliding_window": 3}
    model = built(name, "flex_attention", **GROUPED, **more)
    with torch.no_grad():
        without = model(**inputs).last_hidden_state
        with regard.watch(model) as lens:
            within = model(**inputs).last_hidden_state
        told = built(name, "eager", **GROUPED, **more)(**inputs, output_attentions=True).attentions
    assert torch.equal(without, within)
    assert lens.layers == ["layers.0.self_attn", "layers.1.self_attn"]
    assert not lens.unseen
    for reading, weights in zip(lens.readings, told, strict=True):
        live = weights * RIGHT[:, None, :, None]
        assert_as_defined(reading.statistics, live, skip=("permitted_keys", "evenness"))


class Module(torch.nn.Module):
    """What an entry of the table is called for."""

    def forward(self, name, *given, **options):
        return AttentionInterface._global_mapping[name](self, *given, **options)


def test_sinks_that_are_joined_after_flex_attention_are_read(monkeypatch):
    query, key, sinks = torch.randn(2, 4, 5, 8), torch.randn(2, 2, 5, 8), torch.randn(4)
    mask = create_block_mask(lambda b, h, q, k: q >= k, None, None, 5, 5, device="cpu")
    monkeypatch.setitem(AttentionInterface._global_mapping, "flex_attention", lambda *given, **options: (given[1], None))
    with regard.watch(model := Module()) as lens:  # on a CPU the kernel itself refuses sinks
        model("flex_attention", query, key, key, mask, scaling=0.3, softcap=2.0, s_aux=sinks)
    scores = 2 * torch.tanh(query @ key.repeat_interleave(2, 1).mT * 0.3 / 2)
    scores = scores.masked_fill(torch.ones(5, 5).triu(1).bool(), float("-inf")).double()
    joined = torch.cat([scores, sinks.view(1, 4, 1, 1).expand(2, 4, 5, 1)], -1)
    assert_as_defined(lens[0].statistics, joined.softmax(-1)[..., :-1], scores)


def test_a_kernel_that_shows_nothing_is_said_to_be_unseen(monkeypatch):
    monkeypatch.setitem(AttentionInterface._global_mapping, "flash_attention_2", lambda *given, **options: (given[1], None))
    x = torch.randn(1, 2, 3, 4)
    model = Module()
    with pytest.warns(UserWarning, match="the kernel 'flash_attention_2' shows nothing"), regard.watch(model) as lens:
        model("flash_attention_2", x, x, x, None)
    assert lens.unseen[0][0] == "Module"


def test_a_function_that_somebody_registered_is_read_through(monkeypatch):
    def own(module, query, key, value, attention_mask, **_):
        return (query @ key.mT).softmax(-1) @ value, None

    monkeypatch.setitem(AttentionInterface._global_mapping, "own", own)
    x = torch.randn(1, 2, 3, 4)
    with regard.watch(model := Module()) as lens:
        model("own", x, x, x, None)
    assert not lens.unseen
    torch.testing.assert_close(lens[0].statistics.block_map, (x @ x.mT).softmax(-1))


def test_packed_sequences_are_said_to_be_unseen(monkeypatch):
    def packed(module, query, key, value, *_):
        return (query @ key.mT).softmax(-1) @ value

    monkeypatch.setitem(AttentionInterface._global_mapping, "paged|eager", packed)
    x = torch.randn(1, 2, 3, 4)
    with pytest.warns(UserWarning, match="packed by continuous batching"), regard.watch(model := Module()) as lens:
        model("paged|eager", x, x, x, None)
    assert not lens.layers


class Failing(torch.nn.Module):
    """A model that registers a function of its own and breaks while it is watched."""

    def forward(self, table):
        assert AttentionInterface._global_mapping["sdpa"] is not table["sdpa"]
        AttentionInterface.register("meanwhile", print)
        raise ZeroDivisionError


def test_the_table_is_itself_again_afterwards():
    before = dict(AttentionInterface._global_mapping)
    with pytest.raises(ZeroDivisionError), regard.watch(model := Failing()):
        model(before)
    assert AttentionInterface._global_mapping.pop("meanwhile") is print
    assert AttentionInterface._global_mapping == before


@pytest.mark.parametrize("mask_heads", [1, 4])
@pytest.mark.parametrize("is_added", [True, False])
def test_heads_that_a_kernel_takes_as_queries_are_heads_again(mask_heads, is_added):
    query, key = torch.randn(2, 4, 1, 8), torch.randn(2, 2, 6, 8)
    allowed = torch.rand(2, mask_heads, 1, 6) > 0.4
    allowed[..., 0] = True
    mask = torch.where(allowed, 0.5, float("-inf")) if is_added else allowed
    model = Module()
    model.num_key_value_groups = 2
    with regard.watch(model) as lens:
        model("sdpa", query, key, key, mask)
    assert lens[0].shape == (2, 4, 1, 6)
    scores = (query @ key.repeat_interleave(2, 1).mT / 8**0.5).masked_fill(~allowed, float("-inf")) + 0.5 * is_added
    assert_as_defined(lens[0].statistics, scores.double().softmax(-1), scores)
