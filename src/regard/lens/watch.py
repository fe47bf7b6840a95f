"""See every attention call of a model from outside: no flag, no hook and no edit inside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from regard.attention.call import Call
from regard.attention.mechanism import run
from regard.errors import InputError
from regard.lens import calls
from regard.lens.statistics import Statistics, measure


@dataclass(frozen=True)
class Reading:
    """One attention call: the path of the module it ran in, and what it looked at."""

    layer: str
    statistics: Statistics
    shape: tuple[int, int, int, int]
    """(batch, heads, queries, keys)."""


@dataclass
class Lens:
    """What `watch` saw, in order of the calls."""

    readings: list[Reading] = field(default_factory=list)
    unseen: list[tuple[str, str]] = field(default_factory=list)
    """(layer, reason) for calls that were not read: never a guess."""

    @property
    def layers(self) -> list[str]:
        """Paths of the modules that called attention, in order of first call."""
        return list(dict.fromkeys(reading.layer for reading in self.readings))

    def __getitem__(self, layer: str) -> Reading:
        """The latest reading of a layer."""
        for reading in reversed(self.readings):
            if reading.layer == layer:
                return reading
        raise InputError(f"No attention was seen in {layer!r}. Seen: {', '.join(self.layers) or 'nothing'}.")

    def head_means(self) -> dict[str, dict[str, Float[Tensor, " heads"]]]:
        """Per layer, the means of its heads over all calls, each query counted once, padding left out."""
        means: dict[str, dict[str, Tensor]] = {}
        for layer in self.layers:
            seen = [reading.statistics for reading in self.readings if reading.layer == layer]
            counts = [statistics.is_live.sum((0, 2)) for statistics in seen]
            total = torch.stack(counts).sum(0).clamp(min=1)
            each = [statistics.head_means() for statistics in seen]
            means[layer] = {
                name: sum(mean[name] * count for mean, count in zip(each, counts, strict=True)) / total for name in each[0]
            }
        return means

    def summary(self) -> str:
        """A table, a line a head: entropy, largest weight and distance, means over all that was seen."""
        lines = [f"{'layer':<40} head  entropy_bits  largest_weight  mean_distance"]
        for layer, means in self.head_means().items():
            columns = zip(*(means[name].tolist() for name in ("entropy_bits", "largest_weight", "mean_distance")), strict=True)
            lines += [f"{layer:<40} {h:>4}  {e:>12.3f}  {w:>14.3f}  {d:>13.2f}" for h, (e, w, d) in enumerate(columns)]
        lines += [f"{layer:<40} not seen: {reason}" for layer, reason in self.unseen]
        return "\n".join(lines)


@contextmanager
def watch(model: nn.Module) -> Iterator[Lens]:
    """While active, every attention call of `model` is read exactly; its outputs stay the same to the bit.

    Sees scaled_dot_product_attention, nn.MultiheadAttention (also inside nn.TransformerEncoder, on its fast path too)
    and our own mechanisms, in training or not. Weights are read before dropout. Costs an explicit pass over the
    weights for each call, in O(queries + keys) memory.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"watch needs a torch.nn.Module to look into, got {type(model).__name__}.")
    watcher = _Watcher({module: name for name, module in model.named_modules()})
    restore = [_wrap(module, name, watcher) for name, module in model.named_modules()]
    try:
        with watcher:
            yield watcher.lens
    finally:
        for undo in restore:
            undo()


class _Watcher(TorchFunctionMode):
    """Reads the calls that PyTorch's override protocol shows, and knows which module is running."""

    def __init__(self, names: dict[nn.Module, str]) -> None:
        super().__init__()
        self.lens, self.names = Lens(), names
        self.path: list[str] = []
        self.is_active = False

    def __enter__(self) -> _Watcher:
        self.is_active = True
        return super().__enter__()

    def __exit__(self, *exception: Any) -> None:
        self.is_active = False
        super().__exit__(*exception)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)  # the mode is off in here, so nothing is read twice
        if func in _READERS:
            layer = self.names.get(args[0]) if func is run else None
            self.read(layer or self.running, lambda: _READERS[func](*args, **kwargs))
        return out

    @property
    def running(self) -> str:
        """Path of the innermost module that runs."""
        return self.path[-1] if self.path else "(outside the model)"

    def read(self, layer: str, find_call: Callable[[], Call]) -> None:
        """Measure a call, or keep the reason why it cannot be."""
        try:
            call = find_call()
        except calls.NotSeen as reason:
            self.lens.unseen.append((layer, str(reason)))
        else:
            self.lens.readings.append(Reading(layer, measure(call), call.shape))

    @property
    def num_met(self) -> int:
        """Calls met so far, read or not."""
        return len(self.lens.readings) + len(self.lens.unseen)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Out of the way: PyTorch's fused paths ask whether a mode is on, and give it up if so."""
        if not self.is_active:
            yield
            return
        self.__exit__(None, None, None)
        try:
            yield
        finally:
            self.__enter__()


_READERS: dict[Any, Callable[..., Call]] = {
    F.scaled_dot_product_attention: calls.from_scaled_dot_product,
    F.multi_head_attention_forward: calls.from_multi_head_forward,
    run: calls.from_mechanism,
}


def _wrap(module: nn.Module, name: str, watcher: _Watcher) -> Callable[[], None]:
    """Let the watcher know when this module runs; returns what undoes it."""
    forward, had_own = module.forward, "forward" in vars(module)
    find_fused = calls.FUSED_MODULES.get(type(module))

    @wraps(forward)
    def watched(*args: Any, **kwargs: Any) -> Any:
        watcher.path.append(name or type(module).__name__)
        before = watcher.num_met
        try:
            if find_fused is None:
                return forward(*args, **kwargs)
            with watcher.suspended():
                out = forward(*args, **kwargs)
                if watcher.num_met == before:  # nothing inside was seen: it ran as one kernel
                    for child, find_call in find_fused(module, *args, **kwargs):
                        watcher.read(f"{watcher.running}.{child}".strip("."), find_call)
                return out
        finally:
            watcher.path.pop()

    module.forward = watched  # type: ignore[method-assign]

    def undo() -> None:
        if had_own:
            module.forward = forward  # type: ignore[method-assign]
        else:
            del module.forward

    return undo
