"""Who computes a call. A backend is a module with three functions and no state:

refusal(call) -> str    why it cannot serve this call exactly, "" when it can
drawback(call) -> str   why "auto" should look further first, although it could; "" when there is nothing
attend(call) -> Tensor  the output
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

from regard.catalog import BACKENDS, load
from regard.errors import Unsupported

if TYPE_CHECKING:
    from regard.attention.call import Call


ITSELF = "itself"
"""In the place of a backend: the mechanism computes the call alone."""


@dataclass(frozen=True)
class Plan:
    """Which backend serves a call, and what each one said about it."""

    backend: str
    reasons: dict[str, str]
    share_skipped: float
    """Share of the matrix, in [0, 1], that lies in tiles in which no pair may look: what `tiled` and `triton` leave out."""

    @classmethod
    def by_itself(cls, name: str) -> Plan:
        """Of a mechanism that has a way of its own."""
        return cls(ITSELF, {ITSELF: f"chosen: {name} has a way of its own"}, 0.0)

    def __str__(self) -> str:
        skipped = f"{100 * self.share_skipped:.1f} % of the matrix lies in empty tiles"
        lines = (f"{'→' if name == self.backend else ' '} {name:<10} {why}" for name, why in self.reasons.items())
        return "\n".join([skipped, *lines])


@cache
def _backend(name: str) -> ModuleType:
    return load(BACKENDS, name)


def plan_call(call: Call) -> Plan:
    """What backend="auto" does with a call: the first backend without refusal or drawback, else without refusal."""
    refusals, drawbacks = {}, {}
    for name in BACKENDS:
        backend = _backend(name)
        refusals[name], drawbacks[name] = backend.refusal(call), backend.drawback(call)
    able = [name for name in BACKENDS if not refusals[name]]
    best = min(able, key=lambda name: (bool(drawbacks[name]), able.index(name)))

    def why(name: str) -> str:
        if refusals[name]:
            return f"refuses: {refusals[name]}"
        note = f"can, but {drawbacks[name]}" if drawbacks[name] else "can"
        return f"chosen: {'it is the fastest that can' if not drawbacks[name] else note}" if name == best else note

    return Plan(best, {name: why(name) for name in BACKENDS}, call.share_skipped())


def choose(call: Call, backend: str) -> ModuleType:
    """The backend named, or with "auto" the planned one. A name never falls back: it raises Unsupported."""
    if backend == "auto":
        return _first_able(call)
    found = _backend(backend)
    if reason := found.refusal(call):
        raise Unsupported(f"Backend {backend!r} refuses: {reason}. Use backend='auto', or see regard.plan(...).")
    return found


def _first_able(call: Call) -> ModuleType:
    """What the plan would say, asking no more backends than needed."""
    able = []
    for name in BACKENDS:
        backend = _backend(name)
        if not backend.refusal(call):
            if not backend.drawback(call):
                return backend
            able.append(backend)
    return able[0]
