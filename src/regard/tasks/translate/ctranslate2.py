"""A Transformer translator in the form of CTranslate2, which runs it on CPUs and GPUs without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from regard.errors import InputError
from regard.models.transformer import Layer
from regard.models.transformer_translator import TransformerTranslator
from regard.tasks.exported import new_folder
from regard.tasks.folder import Run
from regard.tasks.subwords import END, START, UNKNOWN, Subwords

MAX_POSITIONS = 1024
POSITIONS = ("sinusoidal", "learned")
TOKENIZER = "tokenizer.json"


def export(run: Run, folder: Path) -> dict[str, Any]:
    """Write the model to a new folder, with its tokenizer. Raises InputError where it has no such form.

    To translate: cut a text, with a space before it, by tokenizer.json, and put "‹end›" behind its tokens.
    """
    model, encoder = _checked(run)
    with new_folder(folder) as part:
        spec = _spec(run, model, encoder)
        spec.validate()
        spec.save(str(part))
        encoder.source.tokenizer.save(str(part / TOKENIZER))
    return {}


def _checked(run: Run) -> tuple[TransformerTranslator, Any]:
    """What of a run can be exported."""
    options, encoder = run.task.model, run.encoder  # type: ignore[attr-defined]
    if not isinstance(run.model, TransformerTranslator):
        raise InputError("CTranslate2 runs Transformers: this run is recurrent. Train one with --model.name transformer.")
    if options.mechanism not in ("", "softmax"):
        raise InputError(f"CTranslate2 knows softmax attention only, the run has {options.mechanism!r}.")
    if options.position not in POSITIONS:
        raise InputError(f"for CTranslate2 positions must be {' or '.join(POSITIONS)}, the run has {options.position!r}.")
    if not (encoder.is_joint and isinstance(encoder.source, Subwords)):  # type: ignore[attr-defined]
        raise InputError("for CTranslate2 both languages must share tokens of bpe or unigram: --text.is_joint true.")
    return run.model, encoder


def _spec(run: Run, model: TransformerTranslator, encoder: Any) -> Any:
    try:
        from ctranslate2.specs import common_spec, transformer_spec
    except ModuleNotFoundError:
        raise InputError("this needs the library ctranslate2: pip install 'regard[export]'.") from None
    options = run.task.model  # type: ignore[attr-defined]
    kv_heads = options.num_kv_heads or None
    sizes = options.num_layers, options.num_heads
    named = {"activation": common_spec.Activation.GELU, "num_heads_kv": kv_heads}
    spec = transformer_spec.TransformerSpec(
        transformer_spec.TransformerEncoderSpec(*sizes, **named), transformer_spec.TransformerDecoderSpec(*sizes, **named)
    )
    _fill_stack(spec.encoder, model.encoder, model)
    _fill_stack(spec.decoder, model.decoder, model)
    spec.encoder.embeddings[0].weight = _array(model.source.weight)
    spec.decoder.embeddings.weight = _array(model.target.weight)
    spec.decoder.projection.weight, spec.decoder.projection.bias = _array(model.target.weight), _array(model.bias)
    tokenizer = encoder.source.tokenizer
    tokens = [tokenizer.id_to_token(number) for number in range(len(encoder.source))]
    spec.register_source_vocabulary(tokens)
    spec.register_target_vocabulary(tokens)
    spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = (tokens[sign] for sign in (START, END, UNKNOWN))
    spec.config.decoder_start_token, spec.config.layer_norm_epsilon = tokens[START], model.encoder.norm.eps
    spec.config.add_source_bos, spec.config.add_source_eos = False, False
    return spec


def _fill_stack(spec: Any, stack: Any, model: TransformerTranslator) -> None:
    spec.scale_embeddings = True
    _fill_norm(spec.layer_norm, stack.norm)
    table = getattr(stack.position, "table", None)
    width = model.target.embedding_dim
    length = MAX_POSITIONS if table is None else len(table)
    with torch.no_grad():
        spec.position_encodings.encodings = _array(stack.position.embed(torch.zeros(1, length, width))[0])
    for filled, layer in zip(spec.layer, stack.layers, strict=True):
        _fill_layer(filled, layer)


def _fill_layer(spec: Any, layer: Layer) -> None:
    own = layer.attention
    _fill_linear(spec.self_attention.linear[0], own.query, own.key, own.value)
    _fill_linear(spec.self_attention.linear[1], own.out)
    _fill_norm(spec.self_attention.layer_norm, layer.attention_norm)
    if layer.look is not None:
        _fill_linear(spec.attention.linear[0], layer.look.query)
        _fill_linear(spec.attention.linear[1], layer.look.key, layer.look.value)
        _fill_linear(spec.attention.linear[2], layer.look.out)
        _fill_norm(spec.attention.layer_norm, layer.look_norm)
    _fill_linear(spec.ffn.linear_0, layer.feedforward.up)
    _fill_linear(spec.ffn.linear_1, layer.feedforward.down)
    _fill_norm(spec.ffn.layer_norm, layer.feedforward_norm)


def _fill_linear(spec: Any, *layers: torch.nn.Linear) -> None:
    """Several layers of one input side by side."""
    spec.weight = _array(torch.cat([layer.weight for layer in layers]))
    spec.bias = _array(torch.cat([layer.bias for layer in layers]))


def _fill_norm(spec: Any, norm: Any) -> None:
    spec.gamma, spec.beta = _array(norm.weight), _array(norm.bias)


def _array(tensor: torch.Tensor) -> Any:
    return tensor.detach().float().cpu().contiguous().numpy()
