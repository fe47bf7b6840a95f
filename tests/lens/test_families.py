"""What is seen of the models of transformers equals what they say of themselves when they write their attention out."""

import pytest
import torch

import regard
from tests.lens.definitions import assert_as_defined, definitions

transformers = pytest.importorskip("transformers", reason="families of the hub need transformers")

TEXT = {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 32}
DENSE = {**TEXT, "intermediate_size": 32}
GROUPED = {**DENSE, "num_key_value_heads": 2, "head_dim": 8}
HALF = {"layer_types": ["sliding_attention", "full_attention"]}
T5 = {"vocab_size": 40, "d_model": 32, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 4}
BART = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "vocab_size": 40,
}  # fmt: skip
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
IMAGE = {"image_size": 16, "patch_size": 4}
VIT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32, **IMAGE}
EXPERTS = {"num_local_experts": 2, "num_experts_per_tok": 1}

CAUSAL = {
    "gpt2": ("GPT2", {"vocab_size": 40, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 32}, "transformer.h.{}.attn"),
    "llama": ("Llama", GROUPED, "model.layers.{}.self_attn"),
    "mistral": ("Mistral", {**GROUPED, "sliding_window": 3}, "model.layers.{}.self_attn"),
    "gemma2": ("Gemma2", {**GROUPED, **HALF, "sliding_window": 3, "attn_logit_softcapping": 2.0}, "model.layers.{}.self_attn"),
    "gemma3": ("Gemma3", {**GROUPED, **HALF, "sliding_window": 3}, "model.layers.{}.self_attn"),
    "gpt-oss": ("GptOss", {**GROUPED, **EXPERTS, **HALF, "sliding_window": 3}, "model.layers.{}.self_attn"),
    "qwen2": ("Qwen2", GROUPED, "model.layers.{}.self_attn"),
    "qwen3": ("Qwen3", GROUPED, "model.layers.{}.self_attn"),
}
ENCODERS = {
    "bert": ("Bert", DENSE, "encoder.layer.{}.attention.self"),
    "roberta": ("Roberta", DENSE, "encoder.layer.{}.attention.self"),
}
MISSING = {("gemma2", "sdpa"), ("gpt-oss", "sdpa")}
IDS = torch.tensor([[5, 6, 7, 8, 9, 10, 11], [12, 13, 14, 15, 16, 17, 18]])
RIGHT = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0, 0]])


def built(name, implementation, kind="Model", **options):
    """A small random model in evaluation, the same at every call."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}{'Text' if name == 'Gemma3' else ''}Config")(**options, **SPECIAL)
    model = getattr(transformers, f"Auto{kind}").from_config(config, attn_implementation=implementation)
    torch.manual_seed(1)
    for parameter in model.parameters():  # away from weights so small that every head looks everywhere
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def watched(model, **inputs):
    """What a watch sees, with the outputs shown to be the same to the bit."""
    with torch.no_grad():
        without = model(**inputs)
        with regard.watch(model, keep=None) as lens:
            within = model(**inputs)
    for name, value in without.items():
        assert not isinstance(value, torch.Tensor) or torch.equal(value, within[name]), name
    assert not lens.unseen
    return lens


def assert_as_told(reading, weights, live=None):
    """Statistics of a reading equal those of the weights that the model returned, padded queries left out."""
    weights = weights if live is None else weights * live[:, None, :, None]
    names = reading.statistics
    assert_as_defined(names, weights, None, skip=("permitted_keys", "evenness"))
    largest = weights.amax(-1)
    found = (names.largest_logit - names.logsumexp).exp() * weights.sum(-1)
    is_live = names.is_live
    torch.testing.assert_close(found[is_live], largest[is_live], rtol=1e-5, atol=1e-5)


IMPLEMENTATIONS = ["sdpa", "eager"]
KINDS = [(one, way) for one in [*CAUSAL, *ENCODERS] for way in IMPLEMENTATIONS if (one, way) not in MISSING]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(("family", "implementation"), KINDS)
def test_text_models_are_seen_as_they_say(family, implementation, side):
    name, options, path = (CAUSAL | ENCODERS)[family]
    kind = "Model" if family in ENCODERS else "ModelForCausalLM"
    mask = RIGHT if side == "right" else RIGHT.flip(1)
    inputs = {"input_ids": IDS, "attention_mask": mask}
    lens = watched(built(name, implementation, kind, **options), **inputs)
    with torch.no_grad():
        told = built(name, "eager", kind, **options)(**inputs, output_attentions=True).attentions
    assert lens.layers == [path.format(layer) for layer in range(2)]
    for reading, weights in zip(lens.readings, told, strict=True):
        assert_as_told(reading, weights, mask)


@pytest.mark.parametrize("family", [family for family, implementation in KINDS if implementation == "sdpa"])
def test_scores_and_masks_are_the_same_by_either_implementation(family):
    name, options, _ = (CAUSAL | ENCODERS)[family]
    inputs = {"input_ids": IDS, "attention_mask": RIGHT.flip(1)}
    fused, written = (watched(built(name, one, **options), **inputs) for one in IMPLEMENTATIONS)
    for one, other in zip(fused.readings, written.readings, strict=True):
        for statistic in ("permitted_keys", "logsumexp", "largest_logit"):
            torch.testing.assert_close(one.head(1)[statistic], other.head(1)[statistic], rtol=1e-5, atol=1e-5)


SOURCE = torch.tensor([[3, 4, 5, 6, 7, 8], [9, 10, 11, 12, 13, 14]])
IS_SOURCE, IS_TARGET = (torch.tensor([[1] * size, [1] * 3 + [0] * (size - 3)]) for size in (6, 7))
PAIRS = {
    "t5": ("T5", T5, "encoder.block.{}.layer.0.SelfAttention", "decoder.block.{}.layer.0.SelfAttention",
           "decoder.block.{}.layer.1.EncDecAttention"),
    "bart": ("Bart", BART, "encoder.layers.{}.self_attn", "decoder.layers.{}.self_attn", "decoder.layers.{}.encoder_attn"),
}  # fmt: skip


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("family", PAIRS)
def test_source_target_pairs_are_seen_as_they_say(family, implementation):
    name, options, *paths = PAIRS[family]
    inputs = {"input_ids": SOURCE, "attention_mask": IS_SOURCE, "decoder_input_ids": IDS, "decoder_attention_mask": IS_TARGET}
    lens = watched(built(name, implementation, **options), **inputs, use_cache=False)
    with torch.no_grad():
        told = built(name, "eager", **options)(**inputs, use_cache=False, output_attentions=True)
    parts = (told.encoder_attentions, IS_SOURCE), (told.decoder_attentions, IS_TARGET), (told.cross_attentions, IS_TARGET)
    for path, (matrices, live) in zip(paths, parts, strict=True):
        for layer, weights in enumerate(matrices):
            assert_as_told(lens[path.format(layer)], weights, live)
    assert len(lens) == 6


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_patches_of_an_image_are_seen_as_the_model_says(implementation):
    inputs = {"pixel_values": torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))}
    lens = watched(built("ViT", implementation, **VIT), **inputs)
    with torch.no_grad():
        told = built("ViT", "eager", **VIT)(**inputs, output_attentions=True).attentions
    assert lens[0].shape == (2, 4, 17, 17)
    for reading, weights in zip(lens.readings, told, strict=True):
        assert_as_told(reading, weights)


WHISPER = {**BART, "num_mel_bins": 4, "max_source_positions": 8, "max_target_positions": 16}


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_sound_is_seen_as_the_model_says(implementation):
    sound = torch.randn(2, 4, 16, generator=torch.Generator().manual_seed(0))
    inputs = {"input_features": sound, "decoder_input_ids": IDS, "decoder_attention_mask": IS_TARGET, "use_cache": False}
    lens = watched(built("Whisper", implementation, **WHISPER), **inputs)
    with torch.no_grad():
        told = built("Whisper", "eager", **WHISPER)(**inputs, output_attentions=True)
    assert lens["encoder.layers.0.self_attn"].shape == (2, 4, 8, 8)
    for layer in range(2):
        assert_as_told(lens[f"encoder.layers.{layer}.self_attn"], told.encoder_attentions[layer])
        assert_as_told(lens[f"decoder.layers.{layer}.self_attn"], told.decoder_attentions[layer], IS_TARGET)
        assert_as_told(lens[f"decoder.layers.{layer}.encoder_attn"], told.cross_attentions[layer], IS_TARGET)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(
    ("family", "cache", "places"),
    [
        ("llama", "dynamic", [0, 7, 8, 9, 10]),
        ("llama", "static", [0, 7, 8, 9, 10]),
        ("mistral", "dynamic", [0, 2, 2, 2, 2]),  # of which no more keys are kept than its window
    ],
)
def test_steps_of_generation_are_rows_of_the_whole(family, cache, places, implementation):
    name, options, path = CAUSAL[family]
    model = built(name, implementation, "ModelForCausalLM", **options)
    mask = RIGHT.flip(1)
    with regard.watch(model, keep=None) as lens, torch.no_grad():
        ids = model.generate(
            IDS, attention_mask=mask, max_new_tokens=5, do_sample=False, eos_token_id=None, cache_implementation=cache
        )
    assert not lens.unseen
    steps = lens.calls(path.format(1))
    assert [reading.shape[2] for reading in steps] == [7, 1, 1, 1, 1]
    assert [reading.first_query for reading in steps] == places
    live = torch.cat([mask, torch.ones(2, 4, dtype=torch.long)], 1)
    with torch.no_grad():
        whole = built(name, "eager", "ModelForCausalLM", **options)
        told = whole(ids[:, :-1], attention_mask=live, output_attentions=True)
    weights = told.attentions[1] * live[:, None, :, None]
    expected = definitions(weights)
    for name in ("entropy_bits", "mean_distance", "previous_share", "window_share", "total_weight"):
        rows = torch.cat([getattr(reading.statistics, name) for reading in steps], 2)
        torch.testing.assert_close(rows.double(), expected[name], rtol=1e-5, atol=1e-5)


X_OPTIONS = {
    "plain": {},
    "shared key": {"attn_one_kv_head": True},
    "grouped heads": {"attn_kv_heads": 2},
    "sink": {"attn_head_learned_sink": True},
    "relative": {"rel_pos_bias": True},
}


@pytest.mark.parametrize("kind", ["Encoder", "Decoder"])
@pytest.mark.parametrize("options", X_OPTIONS.values(), ids=X_OPTIONS)
def test_x_transformers_are_seen_as_they_say(options, kind):
    model, mask = x_model(kind, **options), RIGHT.bool()
    with torch.no_grad():
        without = model(IDS, mask=mask)
        with regard.watch(model, keep=None) as lens:
            within = model(IDS, mask=mask)
        _, told = model(IDS, mask=mask, return_intermediates=True)
    assert torch.equal(without, within)
    assert lens.layers == ["attn_layers.layers.0.1.attend", "attn_layers.layers.2.1.attend"]
    for reading, intermediate in zip(lens.readings, told.attn_intermediates, strict=True):
        assert_as_told(reading, intermediate.post_softmax_attn[..., -7:], RIGHT)


@pytest.mark.parametrize("kind", ["Encoder", "Decoder"])
@pytest.mark.parametrize("options", [{}, {"alibi_pos_bias": True}], ids=["plain", "alibi"])
def test_x_transformers_are_seen_alike_by_their_fused_kernel(options, kind):
    fused, written = (x_model(kind, attn_flash=flash, **options) for flash in (True, False))
    with torch.no_grad(), regard.watch(fused, keep=None) as one:
        fused(IDS, mask=RIGHT.bool())
    with torch.no_grad(), regard.watch(written, keep=None) as other:
        written(IDS, mask=RIGHT.bool())
    for reading, same in zip(one.readings, other.readings, strict=True):
        assert torch.equal(reading.statistics.is_live, RIGHT.bool()[:, None].expand(2, 4, 7))
        for name, value in reading.statistics.values.items():
            torch.testing.assert_close(value, same.statistics.values[name], rtol=1e-5, atol=1e-5, equal_nan=True)


def x_model(kind, **options):
    x_transformers = pytest.importorskip("x_transformers", reason="models of x-transformers need it")
    torch.manual_seed(0)
    layers = getattr(x_transformers, kind)(dim=32, depth=2, heads=4, attn_dim_head=8, **options)
    return x_transformers.TransformerWrapper(num_tokens=40, max_seq_len=16, attn_layers=layers).eval()
