"""Put losses on the attention of a model from outside: no edit, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from regard.attention.call import Call
from regard.errors import InputError
from regard.lens.readers import frames
from regard.lens.readers.found import Found, NotSeen
from regard.lens.readers.watching import current
from regard.lens.record import Lens
from regard.lens.statistics import Wanted
from regard.lens.watch import Watch
from regard.lens.watcher import Options, Watcher

Penalty = Callable[[Call], Tensor]
"""A scalar of a call, with its graph: see `regard.lens.losses`."""


@contextmanager
def attached(model: nn.Module, penalties: Mapping[str, Sequence[Penalty]]) -> Iterator[Penalties]:
    """While active, each attention call of `model` adds to the penalties whose pattern of module paths it fits.

    with attached(model, {"layers.*": [EntropyFloor(2.0)]}) as added:
        loss = task_loss(model(x)) + added.total()

    Outputs and random numbers stay the same. What `regard.watch` reads is seen, but for weights that a model writes out itself.
    Works inside a watch, with padding left out, and with gradient checkpointing.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"attached needs a torch.nn.Module to look into, got {type(model).__name__}.")
    found = Penalties(penalties)
    with ExitStack() as stack:
        active = current()
        watcher = active if isinstance(active, Watcher) else stack.enter_context(_Hooks(model))
        before = watcher.read
        reader = _Reader(watcher, model, found, before if watcher is active else None)
        stack.callback(setattr, watcher, "read", before)
        watcher.read = reader.read  # type: ignore[method-assign]
        yield found


class Penalties:
    """What the calls since the start, or since `clear`, cost."""

    def __init__(self, asked: Mapping[str, Sequence[Penalty]]) -> None:
        self.asked = asked
        self.found: dict[str, list[Tensor]] = {}
        """By layer, a sum of its penalties for each call."""
        self.seen: list[str] = []
        """Every layer that called attention."""
        self.unseen: dict[str, str] = {}
        """Layers whose calls could not be read, and why."""

    def wanted(self, layer: str) -> list[Penalty]:
        """Those whose pattern a layer fits."""
        return [one for pattern, several in self.asked.items() if fnmatchcase(layer, pattern) for one in several]

    def by_layer(self) -> dict[str, Tensor]:
        """Of each layer, a mean over its calls."""
        return {layer: torch.stack(costs).mean() for layer, costs in self.found.items()}

    def total(self) -> Tensor:
        """The sum over the layers. Raises InputError where a call could not be read, or none fitted."""
        for layer, reason in self.unseen.items():
            raise InputError(f"{layer} cannot be penalised: {reason}.")
        if not self.found:
            seen = ", ".join(self.seen) or "none: call the model inside, before total()"
            raise InputError(f"No attention call fits {', '.join(map(repr, self.asked))}. Calls seen: {seen}.")
        return torch.stack(list(self.by_layer().values())).sum()

    def clear(self) -> None:
        """Forget all costs, for the next step of a long `with`."""
        self.found.clear()


class _Hooks(Watch):
    """The hooks of a watch, without a lens."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model, Lens(0), Options(Wanted(()), ("*",), None, None, False))

    def __enter__(self) -> Watcher:  # type: ignore[override]
        super().__enter__()
        assert self.watcher is not None
        return self.watcher

    def __exit__(self, *exception: Any) -> None:
        self.hooks.close()


class _Reader:
    """What a watcher does with the calls it meets: hand them to penalties, with their graph."""

    def __init__(self, watcher: Watcher, model: nn.Module, found: Penalties, inner: Callable[..., None] | None) -> None:
        self.watcher, self.found, self.inner = watcher, found, inner
        self.names = {module: name or type(module).__name__ for name, module in model.named_modules()}
        self.modules = {path: module for module, path in watcher.names.items()}

    def read(self, find: Callable[[], Found], layer: str = "") -> None:
        """Take in one more call; one outside of the model is none of ours."""
        if self.inner is not None:
            self.inner(find, layer)
        else:
            self.watcher.num_met += 1
        module = self.modules.get(layer or self.watcher.layer)
        name = "" if module is None or not self.watcher.frames else self.names.get(module, "")
        if not name:
            return
        if name not in self.found.seen:
            self.found.seen.append(name)
        if wanted := self.found.wanted(name):
            try:
                # Not among what gradient checkpointing keeps of the module: it would miss it when it computes that again.
                with torch.autograd.graph.saved_tensors_hooks(_same, _same):
                    call = self.call_of(find())
                    self.found.found.setdefault(name, []).append(torch.stack([penalty(call) for penalty in wanted]).sum())
            except NotSeen as reason:
                self.found.unseen[name] = str(reason)

    def call_of(self, found: Found) -> Call:
        """The call without its padding."""
        is_live = frames.live_queries(found, self.watcher.frames)
        call = (found if is_live is None else found.without_padding(is_live)).call
        if call is None:
            raise NotSeen("it writes its weights out itself; of a transformers model choose attn_implementation='sdpa'")
        return call


def _same(x: Tensor) -> Tensor:
    return x
