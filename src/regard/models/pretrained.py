"""A pretrained transformers encoder as a reader of words, and word vectors as another."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pickle import UnpicklingError
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from torch import Tensor, nn

from regard.errors import InputError
from regard.models.blocks import LockedDropout, positions_before
from regard.models.model import Batch
from regard.models.options import EncoderOptions

Rows = tuple[Tensor, Tensor]
UNREADABLE = (OSError, RuntimeError, ValueError, EOFError, struct.error, SafetensorError, UnpicklingError)
"""What reading weights ends in where a file of them is missing, cut short or something else."""
SHORT = 256
"""Pieces of a window."""


class PretrainedReader(nn.Module):
    """Each word as the last state of its first piece; Devlin et al. 2019, arXiv:1810.04805, section 5.3.

    A long sentence comes as several overlapping windows of pieces; `batch["places"]` says where among them each word is read.
    """

    def __init__(self, config: dict[str, Any], options: EncoderOptions) -> None:
        super().__init__()
        from transformers import AutoConfig, AutoModel

        made = AutoConfig.for_model(**config)
        _set_dropout(made, options.dropout)
        self.encoder = _encoder_of(AutoModel.from_config(made, dtype=torch.float32))
        self.has_fused = self.encoder.config._attn_implementation == "sdpa"
        if getattr(self.encoder, "pooler", None) is not None:
            self.encoder.pooler = nn.Identity()  # some architectures call it whether it is there or not
        _lock_dropout(self.encoder, options.dropout)
        self.options, self.width = options, int(made.hidden_size)
        self.mark = nn.Parameter(torch.zeros(self.width)) if options.marked_layers else None
        self._freeze(options.frozen_layers)
        if self.mark is not None and not self._can_mark():
            raise InputError(
                f"--encoder.marked_layers must be 0 for an encoder of the kind {made.model_type}: "
                "its layers cannot read a sentence again by themselves. The predicate is marked above it then."
            )

    def forward(self, batch: Batch) -> Float[Tensor, "batch length width"]:
        return self._states(batch)[batch["places"]]

    def marked(self, batch: Batch, choose: Callable[[Tensor], Rows]) -> Float[Tensor, "rows length width"]:
        """The last layers read some sentences again, each with a mark on one word: a vector that is learnt, added to its state.

        `choose` is given the states of all words below these layers, (batch, length, width), and says which rows there shall
        be: (the sentence of each, its marked word). Costs what the rows cost in these layers, and one reading in those below.
        """
        assert self.mark is not None
        marking = _Marking(batch, self.mark, choose)
        above = layers_of(self.encoder)[-self.options.marked_layers :]
        hooks = [layer.register_forward_pre_hook(marking, with_kwargs=True) for layer in above]
        try:
            states = self._states(batch)
        finally:
            for hook in hooks:
                hook.remove()
        return states[marking.places]

    def _states(self, batch: Batch) -> Float[Tensor, "places width"]:
        """Of every position of every window, one window after the other.

        Short rows are mixed by written-out products on a CPU: there the fused kernel, made for long rows, is slower to train.
        An architecture that has no fused kernel always does so.
        """
        pieces = batch["pieces"]
        is_piece = positions_before(batch["piece_lengths"], pieces.shape[1])
        kernel = "eager" if pieces.device.type == "cpu" and pieces.shape[1] <= SHORT else "sdpa"
        if self.has_fused and self.encoder.config._attn_implementation != kernel:
            self.encoder.set_attn_implementation(kernel)
        return self.encoder(input_ids=pieces, attention_mask=is_piece.long()).last_hidden_state.flatten(0, 1)

    @torch.no_grad()
    def _can_mark(self) -> bool:
        """Whether layers can be run on chosen rows: tried, as many and more than there are, with a mark that is nothing yet."""
        batch = {
            "pieces": torch.tensor([[1, 2, 3], [2, 1, 0]]),
            "piece_lengths": torch.tensor([3, 2]),
            "num_windows": torch.tensor([1, 1]),
            "places": torch.tensor([[1, 2], [4, 4]]),
        }
        self.eval()
        plain = self(batch)

        def is_kept(rows: Tensor) -> bool:
            found = self.marked(batch, lambda _: (rows, torch.zeros_like(rows)))
            return found.shape == plain[rows].shape and found.allclose(plain[rows], rtol=1e-3, atol=1e-4)

        try:
            return all(map(is_kept, (torch.tensor([1, 0]), torch.tensor([0, 1, 0]))))
        except (AttributeError, IndexError, RuntimeError, TypeError, ValueError):  # as layers may, of rows they do not expect
            return False
        finally:
            self.train()

    def load_pretrained(self, path: str) -> None:
        """Take the weights of a transformers folder or hub id of the same architecture; InputError unless all are there."""
        from transformers import AutoModel

        wanted = {"dtype": torch.float32, "output_loading_info": True, "ignore_mismatched_sizes": True}
        try:
            whole, told = AutoModel.from_pretrained(path, **wanted)
        except UNREADABLE as fault:
            reason = str(fault).strip().split("\n")[0].rstrip(".")
            raise InputError(f"the encoder's weights cannot be read: {reason}. Fetch the folder anew.", file=path) from None
        absent = {*told["missing_keys"], *(name for name, *_ in told["mismatched_keys"])}
        lacking = {id(one) for name, one in whole.named_parameters(remove_duplicate=False) if name in absent}
        given, own = _encoder_of(whole), self.encoder.state_dict()
        for name, one in given.named_parameters():
            if id(one) in lacking and name in own:
                message = f"the encoder's weights lack {name}, or have it in another size than config.json says."
                raise InputError(f"{message} Weights and config.json must be of one model.", file=path)
        self.encoder.load_state_dict(given.state_dict(), strict=False)

    def parameter_groups(self) -> Iterator[dict[str, Any]]:
        """Rates that fall by `layer_decay` with each layer towards the input; ULMFiT, arXiv:1801.06146, section 3.2."""
        options, depths, num_layers = self.options, self._depths(), len(layers_of(self.encoder))
        groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
        for parameter in self.parameters():
            if parameter.requires_grad:
                number = min(num_layers, depths.get(id(parameter), num_layers))
                groups.setdefault((number, parameter.dim() > 1), []).append(parameter)
        for (number, is_matrix), parameters in groups.items():
            rate = options.learning_rate * options.layer_decay ** (num_layers - number)
            yield {"params": parameters, "lr": rate} | ({} if is_matrix else {"weight_decay": 0.0})

    def _freeze(self, num_layers: int) -> None:
        """The embeddings and the first layers are kept as they are; −1 keeps the whole encoder. What stands behind the
        layers, such as a norm, is learned as the last layers are.
        """
        depths = self._depths()
        for parameter in self.encoder.parameters() if num_layers else ():
            if num_layers < 0 or depths[id(parameter)] <= num_layers:
                parameter.requires_grad = False

    def _depths(self) -> dict[int, int]:
        """Of each parameter by its id: 0 in embeddings, 1 to n in the n layers, n + 1 behind them, in order of registration."""
        layers = layers_of(self.encoder)
        depths = {id(parameter): number for number, layer in enumerate(layers, 1) for parameter in layer.parameters()}
        before = 0
        for name, parameter in self.encoder.named_parameters():
            is_behind = before >= len(layers) and not _embeds(name, self.encoder.config.model_type)
            before = depths.setdefault(id(parameter), len(layers) + 1 if is_behind else 0) or before
        return depths


class VectorReader(nn.Module):
    """Words as given vectors, which stay as they are; 0 for a word that has none."""

    def __init__(self, num_words: int, width: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(num_words, width)
        self.vectors.weight.requires_grad = False
        self.width = width

    def forward(self, batch: Batch) -> Float[Tensor, "batch length width"]:
        return self.vectors(batch["vectors"])


class _Marking:
    """Hooked before each layer of `marked`: rows become those that are chosen at the first, with all that comes along."""

    def __init__(self, batch: Batch, mark: Tensor, choose: Callable[[Tensor], Rows]) -> None:
        self.batch, self.mark, self.choose = batch, mark, choose
        self.windows = self.places = torch.zeros(0, dtype=torch.long)
        self.num_windows, self.length = batch["pieces"].shape

    def __call__(self, _layer: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        states, *rest = (*given, *([named["hidden_states"]] if not given else []))
        if not self.places.numel():
            states = self._marked(states)
        named = {name: self._of_rows(value) for name, value in named.items()}
        if not given:
            return (), named | {"hidden_states": states}
        return (states, *map(self._of_rows, rest)), named

    def _marked(self, states: Tensor) -> Tensor:
        sentences, words = self.choose(states.flatten(0, 1)[self.batch["places"]])
        self.windows, self.places = _windows_of(self.batch, sentences)
        rows = states[self.windows]
        is_marked = rows.new_zeros(rows.shape[0] * rows.shape[1], 1)
        is_marked[self.places[torch.arange(len(words), device=words.device), words]] = 1
        return rows + is_marked.unflatten(0, rows.shape[:2]) * self.mark.to(rows.dtype)

    def _of_rows(self, value: Any) -> Any:
        """Masks and positions, where they are of each window; a table of (distances, features) is not."""
        if isinstance(value, tuple):
            return tuple(map(self._of_rows, value))
        if not isinstance(value, Tensor) or value.dim() < 2 or value.shape[0] != self.num_windows:
            return value
        return value[self.windows] if value.dim() > 2 or value.shape[1] == self.length else value


def _windows_of(batch: Batch, sentences: Int[Tensor, " rows"]) -> tuple[Int[Tensor, " windows"], Int[Tensor, "rows length"]]:
    """The windows of each of these sentences, one sentence after the other, and the places of its words among them."""
    counts = batch["num_windows"]
    first = counts.cumsum(0) - counts
    ends = counts[sentences].cumsum(0)
    begins = ends - counts[sentences]
    row = torch.arange(int(ends[-1]), device=ends.device)
    owner = torch.searchsorted(ends, row, right=True)
    windows = first[sentences][owner] + row - begins[owner]
    moved = (begins - first[sentences]) * batch["pieces"].shape[1]
    return windows, batch["places"][sentences] + moved[:, None]


def _encoder_of(model: Any) -> Any:
    """The model, or the half of it that reads, where another half writes."""
    return model.get_encoder() if model.config.is_encoder_decoder else model


def layers_of(encoder: nn.Module) -> list[nn.Module]:
    """The layers of a transformers model, from the input on: its longest list of modules.

    Where lists as long stand beside it, as XLM's of attentions and of norms, a layer is what has the same place in them.
    """
    owners = (owner.children() for owner in encoder.modules() if not isinstance(owner, nn.ModuleList))
    beside = [[list(child) for child in children if isinstance(child, nn.ModuleList)] for children in owners]
    lists = max(beside, key=lambda some: max(map(len, some), default=0), default=[])
    longest = max(map(len, lists), default=0)
    parts = zip(*(one for one in lists if len(one) == longest), strict=True)
    return [one[0] if len(one) == 1 else nn.ModuleList(one) for one in parts]


def _embeds(name: str, kind: str) -> bool:
    """Whether a parameter that is registered behind the layers works before them: a table, or a norm of one.

    Of DeBERTa the norm is that of its distances, and the convolution stands beside its first layer.
    """
    is_debertas = kind == "deberta-v2" and name.startswith(("encoder.LayerNorm.", "encoder.conv."))
    return "embed" in name or ".rel" in name or is_debertas


def _set_dropout(config: Any, share: float) -> None:
    """Of hidden features, whatever an architecture calls it; none of whole layers, nor of attention where that has its own.

    The fused kernel has none on a CPU, and hidden features are dropped anyway; layers that read again must all be run.
    """
    for name, value in config.to_dict().items():
        if "drop" in name and type(value) in (int, float):
            setattr(config, name, 0.0 if "att" in name or "layer" in name else share)


def _lock_dropout(encoder: nn.Module, share: float) -> None:
    """The same features along a sentence: on a CPU a random number for each of their values takes time worth saving.

    Some architectures call a function instead of a module; those hide each value by itself.
    """
    for module in encoder.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.Dropout) and child.p:
                setattr(module, name, LockedDropout(share))
