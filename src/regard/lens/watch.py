"""See every attention call of a model from outside: no flag and no edit inside it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from copy import deepcopy
from functools import update_wrapper
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.overrides import _get_current_function_mode_stack

from regard.errors import InputError
from regard.lens.readers.frames import Frame
from regard.lens.readers.fused import block_shown, fused_reader
from regard.lens.record import Lens, Reading
from regard.lens.statistics import Wanted
from regard.lens.watcher import DYNAMO, OUTSIDE, Options, Watcher

__all__ = ["Lens", "Reading", "Watch", "watch"]

RAN_EAGERLY = "Compiled modules ran eagerly while they were watched; afterwards they run compiled again."


def watch(
    model: nn.Module,
    statistics: Wanted | Sequence[str] | None = None,
    *,
    layers: str | Sequence[str] = "*",
    heads: Sequence[int] | None = None,
    sample: int | None = None,
    keep: int | None = 1,
    keep_calls: bool = False,
) -> Watch:
    """While active, every attention call of `model` is read exactly; its outputs stay the same to the bit.

    `statistics` are names of `STATISTICS`, or a `Wanted` that also sets their numbers (top_keys, window, …); `layers` are
    patterns of module paths ("encoder.*"); `heads` are the heads to measure. With `sample=n`, n blocks of 64 queries of each
    call are read: unbiased, with standard errors. Means run over all calls; the latest `keep` of each layer stay whole (None:
    all). With `keep_calls`, vectors stay too, and exact weights can be read later. Weights are read before dropout, padded
    queries are left out, compiled modules run eagerly meanwhile. Raises InputError for what cannot be.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"watch needs a torch.nn.Module to look into, got {type(model).__name__}.")
    _check(heads, sample, keep)
    wanted = statistics if isinstance(statistics, Wanted) else Wanted() if statistics is None else Wanted(statistics)
    patterns = (layers,) if isinstance(layers, str) else tuple(layers)
    options = Options(wanted, patterns, None if heads is None else tuple(heads), sample, keep_calls)
    return Watch(model, Lens(keep, wanted.window), options)


def _check(heads: Sequence[int] | None, sample: int | None, keep: int | None) -> None:
    if heads is not None and (not heads or min(heads) < 0):
        raise InputError(f"heads must name at least one head, counted from 0, got {list(heads)}.")
    for name, number, least in (("sample", sample, 1), ("keep", keep, 0)):
        if number is not None and number < least:
            raise InputError(f"{name} must be at least {least}, or None, got {number}.")


class Watch:
    """What `with watch(model) as lens` enters, once; nothing of it is left in the model afterwards."""

    def __init__(self, model: nn.Module, lens: Lens, options: Options) -> None:
        self.model, self.lens, self.options = model, lens, options
        self.watcher: Watcher | None = None
        self.hooks = ExitStack()

    def __enter__(self) -> Lens:
        if self.watcher is not None:
            raise InputError("This watch was closed; what it saw is in its lens. Call regard.watch again for a new one.")
        stack = _get_current_function_mode_stack()  # type: ignore[no-untyped-call]
        if any(isinstance(mode, Watcher) for mode in stack) or any(_is_watched(module) for module in self.model.modules()):
            raise InputError("A watch is active already: close it before another is opened, or read all from one lens.")
        named = {module: _path(name) for name, module in self.model.named_modules() if not _is_wrapper(module)}
        names = {module: name or type(module).__name__ for module, name in named.items()}
        self.watcher = Watcher(self.lens, names, self.options)
        with ExitStack() as hooks:
            for module, name in names.items():
                if isinstance(module, torch.jit.ScriptModule):
                    self.lens.notes.append(f"{name} is TorchScript, which runs outside Python: attention in it is not seen.")
                else:
                    hooks.callback(_wrap(module, name, self.watcher))
            hooks.callback(self.watcher.matrices.forget)
            hooks.enter_context(self.watcher.hooks)
            self.watcher.catch_up()
            hooks.enter_context(self.watcher)
            self.hooks = hooks.pop_all()
        return self.lens

    def __exit__(self, kind: type[BaseException] | None, *exception: Any) -> None:
        self.hooks.close()
        assert self.watcher is not None
        self._note(self.watcher)
        if kind is None and not self.lens.layers and not self.lens.gates:
            warnings.warn(self._nothing(self.watcher), UserWarning, stacklevel=2)

    def _note(self, watcher: Watcher) -> None:
        """Tell what the numbers alone do not."""
        for paths, shape in watcher.matrices.unread.items():
            if watcher.is_asked(layer := paths[-1] if paths else OUTSIDE):
                watcher.unseen(layer, f"a softmax over {shape} did not multiply values in a way that is read")
        for pattern in self.options.layers:
            if watcher.num_met and pattern not in watcher.matched:
                self.lens.notes.append(f"layers={pattern!r} matched no layer that called attention.")
        if any(_is_wrapper(module) or module._compiled_call_impl is not None for module in self.model.modules()):
            self.lens.notes.append(RAN_EAGERLY)
        elif DYNAMO in sys.modules and DYNAMO not in watcher.caught:
            self.lens.notes.append("What was compiled inside the watch was not seen: compile the model before it.")

    def _nothing(self, watcher: Watcher) -> str:
        """Why the lens is empty, and what to do."""
        start = f"No attention was seen in {type(self.model).__name__}: "
        if self.lens.unseen:
            layer, reason = self.lens.unseen[0]
            return f"{start}in {layer}, {reason}. All reasons are in lens.unseen."
        if watcher.num_met:
            return f"{start}layers={list(self.options.layers)} matched none of its layers that called attention."
        if not watcher.num_passes:
            return f"{start}it was not called. Call the model inside the `with` block."
        return (
            f"{start}it calls none of PyTorch's attention functions, and multiplies no softmax by values. Attention of another "
            "form is seen if it is computed by torch.nn.functional.scaled_dot_product_attention or a mechanism of regard."
        )


def _path(name: str) -> str:
    """A module's path as if nothing were compiled."""
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


def _is_wrapper(module: nn.Module) -> bool:
    """Is it what torch.compile puts around a module? Told by name, for the class is slow to import."""
    return type(module).__name__ == "OptimizedModule" and hasattr(module, "_orig_mod")


def _is_watched(module: nn.Module) -> bool:
    return isinstance(vars(module).get("forward"), _Watched)


class _Watched:
    """A forward that lets the watcher know; a copy of its module, made meanwhile, has the plain one."""

    def __init__(self, watched: Callable[..., Any], forward: Callable[..., Any], module: nn.Module) -> None:
        update_wrapper(self, forward)
        self.watched, self.module = watched, module

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.watched(*args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Callable[..., Any]:
        forward, copied = self.__wrapped__, memo.get(id(self.module))  # type: ignore[attr-defined]
        is_own = copied is not None and getattr(forward, "__self__", None) is self.module
        return MethodType(forward.__func__, copied) if is_own else deepcopy(forward, memo)


def _wrap(module: nn.Module, name: str, watcher: Watcher) -> Callable[[], None]:
    """Let the watcher know when this module runs; returns what undoes it."""
    forward, had_own = module.forward, "forward" in vars(module)
    find_fused = fused_reader(module)

    def watched(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return forward(*args, **kwargs)
        if not watcher.is_here:
            watcher.miss()
            return forward(*args, **kwargs)
        with watcher.inside(Frame(module, name, args, kwargs)):
            if find_fused is None:
                with watcher.resumed():
                    return forward(*args, **kwargs)
            before = watcher.num_met
            with watcher.suspended(), block_shown(module, watcher):
                out = forward(*args, **kwargs)
                if watcher.num_met == before:  # nothing inside was seen: it ran as one kernel
                    for child, find in find_fused(module, *args, **kwargs):
                        watcher.read(find, watcher.names.get(module.get_submodule(child), name))
            return out

    module.forward = _Watched(watched, forward, module)  # type: ignore[method-assign]

    def undo() -> None:
        if had_own:
            module.forward = forward  # type: ignore[method-assign]
        else:
            del module.forward

    return undo
