"""What functions that PyTorch's override protocol does not show need to know of a watch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NoReturn

from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

from regard.lens.readers.found import Found, NotSeen


class Watching(TorchFunctionMode):
    """An active watch, as its readers see it."""

    num_met = 0
    """Calls that were met so far, read or not."""

    def read(self, find: Callable[[], Found], layer: str = "") -> None:
        """Measure a call of a layer, by default of the module that runs."""
        raise NotImplementedError

    def aside(self) -> AbstractContextManager[None]:
        """Run what stands in it as if there were no watch, compiled where it was compiled."""
        raise NotImplementedError

    @property
    def is_here(self) -> bool:
        """Is it on, or suspended for a while, where this is asked?"""
        raise NotImplementedError

    def resumed(self) -> AbstractContextManager[None]:
        """Back on, if it was suspended."""
        raise NotImplementedError

    def suspended(self) -> AbstractContextManager[None]:
        """Let no function be read that runs in it."""
        raise NotImplementedError

    def expecting(self, heads: int, queries: int) -> AbstractContextManager[None]:
        """The next call has so many heads and queries, in whatever shape a kernel is given them."""
        raise NotImplementedError


class WhileWatched(AbstractContextManager[None]):
    """Something of the whole process that is otherwise for as long as any watch is active, in whatever thread."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.num_watches = 0

    def change(self) -> None:
        """The first watch begins."""
        raise NotImplementedError

    def restore(self) -> None:
        """The last watch is over."""
        raise NotImplementedError

    def __enter__(self) -> None:
        with self.lock:
            if self.num_watches == 0:
                self.change()
            self.num_watches += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.num_watches -= 1
            if self.num_watches == 0:
                self.restore()


def current() -> Watching | None:
    """The watch that is active where this is called, in this thread."""
    stack: list[Any] = _get_current_function_mode_stack()  # type: ignore[no-untyped-call]
    return next((mode for mode in reversed(stack) if isinstance(mode, Watching)), None)


def counted(watching: Watching, call: Callable[[], Any], reason: str) -> Any:
    """Run a function, inside which some reader sees attention, or else it is said why none does."""
    before = watching.num_met
    out = call()
    if watching.num_met == before:
        watching.read(lambda: refuse(reason))
    return out


def refuse(reason: str) -> NoReturn:
    """What is read of a call that cannot be."""
    raise NotSeen(reason)
