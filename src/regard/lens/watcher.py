"""The mode that sees what PyTorch's override protocol shows, and knows which module is running."""

from __future__ import annotations

import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload, OpOverloadPacket
from torch.nn import functional as F
from torch.overrides import _get_current_function_mode_stack, _pop_mode, _push_mode

from regard.attention.gates.gate import apply_gate
from regard.attention.mechanism import run
from regard.errors import InputError
from regard.lens.measure import draw
from regard.lens.readers import flex, frames, hub, ours, pytorch, written
from regard.lens.readers.found import Found, FoundCall, FoundMatrix, NotSeen, check_readable, cut
from regard.lens.readers.watching import Watching, WhileWatched
from regard.lens.record import Lens, Reading
from regard.lens.statistics import Wanted

OUTSIDE = "(outside the model)"


@dataclass(frozen=True)
class Options:
    """What to read of the calls that are met."""

    wanted: Wanted
    layers: tuple[str, ...]
    heads: tuple[int, ...] | None
    sample: int | None
    keeps_calls: bool


class Watcher(Watching):
    """Reads the calls that are shown to it, measures them, and hands them to the lens."""

    def __init__(self, lens: Lens, names: dict[nn.Module, str], options: Options) -> None:
        super().__init__()
        self.lens, self.names, self.options = lens, names, options
        self.dice = torch.Generator().manual_seed(0)
        self.frames: list[frames.Frame] = []
        self.matrices = written.Matrices(self.read_matrix)
        self.hooks = ExitStack()
        self.thread = threading.get_ident()
        self.is_suspended = False
        self.num_passes = 0
        self.caught: set[str] = set()
        self.matched: set[str] = set()
        self.times: Counter[str] = Counter()
        self.expected: tuple[int, int] | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}  # the mode is off in here, so nothing is read twice
        if torch.compiler.is_compiling():
            return func(*args, **kwargs)
        if func in _CALLS:
            with self.aside() if func is run else nullcontext():
                out = func(*args, **kwargs)
            self.read(partial(self.find, func, args, kwargs), self.names.get(args[0], "") if func is run else "")
            return out
        if func in written.FUNCTIONS:
            self.matrices.before(func, args, kwargs)
            out = func(*args, **kwargs)
            self.matrices.after(func, args, kwargs, out, self.frames)
            return out
        out = func(*args, **kwargs)
        if func is apply_gate:
            self.read_gate(*args)
        elif isinstance(func, OpOverload | OpOverloadPacket) and _IS_KERNEL.search(str(func)):
            self.unseen(self.layer, f"the kernel {func} was called by its own name: call scaled_dot_product_attention")
        return out

    @property
    def is_here(self) -> bool:
        """Is it on, or suspended for a while, where this is asked? Not in another thread, nor in a backward pass."""
        stack = _get_current_function_mode_stack()  # type: ignore[no-untyped-call]
        return threading.get_ident() == self.thread and (self.is_suspended or self in stack)

    def miss(self) -> None:
        """A module runs where the watch is not: say so, but of what a backward pass runs again, which was seen before."""
        if threading.get_ident() != self.thread and torch._C._current_graph_task_id() == -1:
            model = next(iter(self.names.values()))
            self.unseen(model, "it ran in another thread than the watch: open the watch in the thread that calls the model")

    @property
    def layer(self) -> str:
        """Path of the innermost module that runs."""
        return self.frames[-1].path if self.frames else OUTSIDE

    def find(self, func: Any, args: Any, kwargs: Any) -> Found:
        """The call that a function of the table computed."""
        check_readable(*args, *kwargs.values())
        told = {"num_heads": frames.num_heads(self.frames)} if func in _SCALED else {}
        found = _CALLS[func](*args, **kwargs, **told)
        return hub.unpacked(found, *self.expected) if self.expected and isinstance(found, FoundCall) else found

    @torch.no_grad()
    def read(self, find: Callable[[], Found], layer: str = "") -> None:
        """Measure a call, or keep the reason why it cannot be."""
        self.num_met += 1
        layer = layer or self.layer
        if not self.is_asked(layer):
            return
        self.times[layer] += 1
        again = f"#{self.times[layer]}" if self.frames and self.times[layer] > 1 else ""
        try:
            with self.off():
                self.take(layer + again, find())
        except (NotSeen, InputError) as reason:
            self.unseen(layer, str(reason))

    def read_matrix(self, paths: tuple[str, ...], find: Callable[[int], Found]) -> None:
        """Measure a matrix in the innermost module that ran both at its softmax and at its product with values."""
        both = takewhile(lambda pair: pair[0].path == pair[1], zip(self.frames, paths, strict=False))
        inside, self.frames = self.frames, [frame for frame, _ in both]
        try:
            self.read(lambda: find(frames.num_heads(self.frames)))
        finally:
            self.frames = inside

    def is_asked(self, layer: str) -> bool:
        """Is a layer one of those to read?"""
        matched = [pattern for pattern in self.options.layers if fnmatchcase(layer, pattern)]
        self.matched.update(matched)
        return bool(matched)

    def take(self, layer: str, found: Found) -> None:
        """Measure a call, in full precision and on no other device than its own."""
        check_readable(_example(found))
        options, shape, first = self.options, found.shape, frames.first_query(found, self.frames)
        is_live = frames.live_queries(found, self.frames)
        found = found if is_live is None else found.without_padding(is_live)
        heads = self.heads_of(shape[1])
        part = found.of_heads(heads) if heads else None
        found = found if part is None else part
        with _plain(found):
            sample = None if found.call is None or options.sample is None else draw(found.call, options.sample, self.dice)
            measured = found.measure(options.wanted, first, sample)
        is_whole = not heads or part is not None
        measured = measured if is_whole else cut(measured, heads)
        kept = found.call.detached() if options.keeps_calls and is_whole and found.call is not None else None
        reading = Reading(layer, measured.statistics, shape, measured.how, heads, first, measured.sample, kept)
        self.lens.add(reading, measured)

    def heads_of(self, num_heads: int) -> tuple[int, ...]:
        """The heads to measure, () for all."""
        heads = self.options.heads
        if heads is not None and max(heads) >= num_heads:
            raise NotSeen(f"heads={list(heads)} were asked for, but it has {num_heads}")
        return heads or ()

    def read_gate(self, gate: Any, x: Tensor) -> None:
        """Keep the latest map of a gate."""
        layer = self.names.get(gate) or self.layer
        if self.is_asked(layer):
            self.lens.gates[layer] = ours.map_of(gate, x)

    def unseen(self, layer: str, reason: str) -> None:
        """Say once why calls of a layer were not read."""
        if (layer, reason) not in self.lens.unseen:
            self.lens.unseen.append((layer, reason))

    @contextmanager
    def inside(self, frame: frames.Frame) -> Iterator[None]:
        """A module runs."""
        if not self.frames:
            self.num_passes += 1
            self.times.clear()
            self.catch_up()
        self.frames.append(frame)
        try:
            yield
        finally:
            self.frames.pop()

    def catch_up(self) -> None:
        """Take hold of what was imported since; nothing is imported for it."""
        for module, change in _CHANGES.items():
            if module in sys.modules and module not in self.caught:
                self.caught.add(module)
                self.hooks.enter_context(change)

    @contextmanager
    def off(self) -> Iterator[None]:
        """The mode taken out of those that are on, whichever lie above it."""
        stack = _get_current_function_mode_stack()  # type: ignore[no-untyped-call]
        above = stack[stack.index(self) + 1 :] if self in stack else []
        removed = [*([self] if self in stack else []), *above]
        _replace(removed, above)
        try:
            yield
        finally:
            _replace(above, removed)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Out of the way: PyTorch's fused paths ask whether a mode is on, and give it up if so."""
        before, self.is_suspended = self.is_suspended, True
        try:
            with self.off():
                yield
        finally:
            self.is_suspended = before

    @contextmanager
    def resumed(self) -> Iterator[None]:
        """Back on for a module that runs inside one for which the mode was suspended."""
        if not self.is_suspended:
            yield
            return
        self.is_suspended = False
        try:
            with self:
                yield
        finally:
            self.is_suspended = True

    @contextmanager
    def aside(self) -> Iterator[None]:
        """As if there were no watch: no mode, no function changed, compiled where it is compiled."""
        with self.off(), ExitStack() as stack:
            if flex.MODULE in self.caught:
                stack.enter_context(flex.SWAP.undone())
            if DYNAMO in self.caught:
                stack.enter_context(torch.compiler.set_stance("default"))
            yield

    @contextmanager
    def expecting(self, heads: int, queries: int) -> Iterator[None]:
        """The call that is met in it has so many heads and queries, in whatever shape a kernel is given them."""
        before, self.expected = self.expected, (heads, queries)
        try:
            yield
        finally:
            self.expected = before


def _replace(old: Sequence[Any], new: Sequence[Any]) -> None:
    """Put other modes in the place of those on top."""
    for _ in old:
        _pop_mode()  # type: ignore[no-untyped-call]
    for mode in new:
        _push_mode(mode)  # type: ignore[no-untyped-call]


def _example(found: Found) -> Tensor:
    """A tensor that is of the kind of all."""
    return found.weights if isinstance(found, FoundMatrix) else found.call.query


@contextmanager
def _plain(found: Found) -> Iterator[None]:
    """Without the autocast and the default device of whoever runs the model."""
    x = _example(found)
    is_elsewhere = torch.get_default_device().type != "cpu"
    with torch.autocast(x.device.type, enabled=False), torch.device("cpu") if is_elsewhere else nullcontext():
        yield


class _Stance(WhileWatched):
    """Compiled modules run eagerly; the process has one stance."""

    def __init__(self) -> None:
        super().__init__()
        self.eager = ExitStack()

    def change(self) -> None:
        self.eager.enter_context(torch.compiler.set_stance("force_eager"))

    def restore(self) -> None:
        self.eager.close()


DYNAMO = "torch._dynamo"
_CHANGES = {flex.MODULE: flex.SWAP, hub.MODULE: hub.TABLE, DYNAMO: _Stance()}
_SCALED = (
    F.scaled_dot_product_attention,
    torch.ops.aten.scaled_dot_product_attention,
    torch.ops.aten.scaled_dot_product_attention.default,
)
_CALLS: dict[Any, Callable[..., Found]] = {
    **dict.fromkeys(_SCALED, pytorch.from_scaled_dot_product),
    F.multi_head_attention_forward: pytorch.from_multi_head_forward,
    run: ours.from_mechanism,
}
_IS_KERNEL = re.compile("atten|attn")
