"""What a lens saw: readings by layer, head and token, and means over everything."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import InputError
from regard.lens.measure import Measured, Sample, widened
from regard.lens.statistics import STATISTICS, Statistics, Wanted

if TYPE_CHECKING:
    from pandas import DataFrame

    from regard.attention.call import Call

BROKEN = "rows whose weights are NaN or infinite, which are in no mean"
"""What is told of a layer that has such rows."""


@dataclass(frozen=True)
class Reading:
    """One attention call: the path of the module it ran in, and what it looked at."""

    layer: str
    statistics: Statistics
    shape: tuple[int, int, int, int]
    """(batch, heads, queries, keys)."""
    how: str = ""
    """Which pass found it."""
    heads: tuple[int, ...] = ()
    """The heads that were measured, in order; () for all."""
    first_query: int = 0
    """Position of the first query among the keys: not 0 where a cache holds keys of before."""
    sample: Sample | None = None
    """Which queries were read; None for all."""
    call: Call | None = None
    """What was computed, where it was kept: more weights can be read from it."""

    def weights(self, rows: range | None = None) -> Float[Tensor, "batch heads rows keys"]:
        """Exact weights of some queries or all, before dropout and in float32 or wider.

        Raises InputError where the call was not kept.
        """
        if self.call is None:
            raise InputError("The vectors of this call were not kept: watch(..., keep_calls=True), or rectangles in Wanted.")
        with torch.no_grad():
            return widened(self.call).weights(rows).cpu()

    def head(self, head: int) -> dict[str, Tensor]:
        """Every statistic of one head: (batch, queries), (batch, keys) or (batch, row_cells, key_cells)."""
        place = self._place(head)
        return {name: value[:, place] for name, value in self.statistics.values.items()}

    def token(self, head: int, token: int) -> dict[str, Tensor]:
        """What one head tells of one token: as a query, and as a key how much it is looked at."""
        limits = {"query": self.shape[2], "key": self.shape[3], "map": 0}
        if not -max(self.shape[2:]) <= token < max(self.shape[2:]):
            raise InputError(f"This call had {self.shape[2]} queries and {self.shape[3]} keys, got token {token}.")
        found = self.head(head)
        return {name: value[:, token] for name, value in found.items() if token < limits[STATISTICS[name].of]}

    def _place(self, head: int) -> int:
        known = self.heads or tuple(range(self.shape[1]))
        head = head + len(known) if head < 0 and not self.heads else head
        if head not in known:
            raise InputError(f"No head {head} was measured in {self.layer!r}. Measured: {', '.join(map(str, known))}.")
        return known.index(head)


@dataclass
class Total:
    """Sums of a layer over many calls: what means are made of. Every query counts once."""

    heads: tuple[int, ...]
    sums: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, Tensor] = field(default_factory=dict)
    variances: dict[str, Tensor] = field(default_factory=dict)
    """Of the sums, from sampling: 0 where every query was read."""
    num_calls: int = 0

    def add(self, measured: Measured) -> None:
        """Take in one more call."""
        self.num_calls += 1
        if measured.sample is None:
            for name, (part, count) in measured.statistics.head_sums().items():
                self._add(name, part, count, torch.zeros_like(part))
        else:
            is_out = ~measured.statistics.is_live
            for name, value in measured.statistics.of_queries().items():
                self._add(name, *estimated(value.masked_fill(is_out, math.nan), measured.sample))

    def merge(self, other: Total) -> None:
        """Take in the sums of other calls."""
        self.num_calls += other.num_calls
        for name in other.sums:
            self._add(name, other.sums[name], other.counts[name], other.variances[name])

    def _add(self, name: str, *parts: Tensor) -> None:
        for into, part in zip((self.sums, self.counts, self.variances), parts, strict=True):
            into[name] = into[name] + part if name in into else part

    def means(self) -> dict[str, Float[Tensor, " heads"]]:
        """Of each head, over every query that may look at something; NaN where no query has a value."""
        return {name: value / self.counts[name] for name, value in self.sums.items()}

    def errors(self) -> dict[str, Float[Tensor, " heads"]]:
        """Standard errors of the means that sampling leaves; 0 where every query was read."""
        return {name: value.sqrt() / self.counts[name].clamp(min=1) for name, value in self.variances.items()}


def estimated(value: Float[Tensor, "batch heads queries"], sample: Sample) -> tuple[Tensor, Tensor, Tensor]:
    """Unbiased estimate of the sum of a statistic over all live rows, their number, and the variance of the estimate.

    Horvitz and Thompson 1952, equation 6, for blocks drawn without replacement with equal chance:
    N/n Σ tᵢ with variance N² (1 − n/N) s²/n. Of a single block there is no variance: infinite.
    """
    totals, counts, live = [], [], []
    for run in sample.rows:
        part, is_live = value[:, :, run.start : run.stop], sample.is_live[:, :, run.start : run.stop]
        has_value = is_live & ~part.isnan()
        totals.append(torch.where(has_value, part, 0).double().sum((0, 2)))
        counts.append(has_value.sum((0, 2)).double())
        live.append(is_live.sum((0, 2)).double())
    each, drawn, blocks = torch.stack(totals), len(sample.rows), sample.num_blocks
    spread = each.var(0) if drawn > 1 else torch.full_like(each[0], math.inf)
    known = all(map(torch.equal, counts, live))  # every live row has a value, so that their number needs no estimate
    count = sample.num_live if known else torch.stack(counts).sum(0) * blocks / drawn
    return each.sum(0) * blocks / drawn, count, blocks**2 * (1 - drawn / blocks) * spread / drawn


class Lens:
    """What `watch` saw. Index it by layer (path or number), head and token.

    Means run over all calls of a layer; the latest `keep` calls of each are there whole, all of them with None.
    """

    def __init__(self, keep: int | None = 1, window: int = Wanted.window) -> None:
        self.keep, self.window = keep, window
        self.totals: dict[str, Total] = {}
        self.unseen: list[tuple[str, str]] = []
        """(layer, reason) for calls that were not read, and for rows of which there is no mean: never a guess."""
        self.gates: dict[str, Tensor] = {}
        """Under the path of each gate that ran, its latest map: what it multiplied by."""
        self.notes: list[str] = []
        """What a reader should know of how this was seen."""
        self._kept: dict[str, deque[Reading]] = {}

    def add(self, reading: Reading, measured: Measured) -> None:
        """Take in one more call."""
        heads = reading.heads or tuple(range(reading.shape[1]))
        total = self.totals.setdefault(reading.layer, Total(heads))
        if total.heads != heads:
            self.unseen.append((reading.layer, f"it had {len(heads)} heads now and {len(total.heads)} before"))
            return
        total.add(measured)
        if not measured.is_finite and (reading.layer, BROKEN) not in self.unseen:
            self.unseen.append((reading.layer, BROKEN))
        self._kept.setdefault(reading.layer, deque(maxlen=self.keep)).append(reading)

    def merge(self, other: Lens) -> None:
        """Take in all that another lens saw, as if this one had seen it after what it saw itself."""
        for layer, theirs in other.totals.items():
            own = self.totals.setdefault(layer, Total(theirs.heads))
            if own.heads != theirs.heads:
                raise InputError(f"{layer!r} has other heads in the two lenses, {len(own.heads)} and {len(theirs.heads)}.")
            own.merge(theirs)
            self._kept.setdefault(layer, deque(maxlen=self.keep)).extend(other._kept[layer])
        self.unseen += [one for one in other.unseen if one not in self.unseen]
        self.notes += [note for note in other.notes if note not in self.notes]
        self.gates |= other.gates

    @property
    def layers(self) -> list[str]:
        """Paths of the modules that called attention, in order of first call; `#2` marks a second call in one pass."""
        return list(self.totals)

    @property
    def readings(self) -> list[Reading]:
        """The calls that are kept, layer by layer, oldest first."""
        return [reading for kept in self._kept.values() for reading in kept]

    def calls(self, layer: str | int) -> list[Reading]:
        """The calls of a layer that are kept, oldest first."""
        return list(self._kept[self._name(layer)])

    def __getitem__(self, place: str | int | tuple[Any, ...]) -> Any:
        """lens[layer] is its latest reading; lens[layer, head] and lens[layer, head, token] its statistics by name."""
        layer, *rest = place if isinstance(place, tuple) else (place,)
        kept = self._kept[self._name(layer)]
        if not kept:
            raise InputError(
                f"No call of {layer!r} was kept whole: watch(..., keep=1) or more. Means are in lens.head_means()."
            )
        if len(rest) > 2:
            raise InputError(f"A lens is indexed by layer, head and token, got {len(rest) + 1} indices.")
        return kept[-1] if not rest else kept[-1].head(*rest) if len(rest) == 1 else kept[-1].token(*rest)

    def __len__(self) -> int:
        return len(self.totals)

    def __iter__(self) -> Iterator[str]:
        return iter(self.totals)

    def __contains__(self, layer: object) -> bool:
        return layer in self.totals

    def head_means(self) -> dict[str, dict[str, Float[Tensor, " heads"]]]:
        """Per layer, the means of its heads over all calls, each query counted once, padding left out."""
        return {layer: total.means() for layer, total in self.totals.items()}

    def standard_errors(self) -> dict[str, dict[str, Float[Tensor, " heads"]]]:
        """Per layer, what sampling leaves open of these means; 0 where every query was read."""
        return {layer: total.errors() for layer, total in self.totals.items()}

    def summary(self) -> str:
        """A table, a line a head: what it does most, and means over all that was seen."""
        from regard.lens.summary import table

        return table(self)

    def to_pandas(self, each: str = "head") -> DataFrame:
        """A line for each head, "query" or "key" of the kept calls; see `frames`."""
        from regard.lens.frames import frame

        return frame(self, each)

    def save(self, folder: str | Path) -> None:
        """Write everything but kept calls to a folder: safetensors and JSON, whole or not at all."""
        from regard.lens.storage import save

        save(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> Lens:
        """What `save` wrote. Raises InputError for another version or a damaged folder."""
        from regard.lens.storage import load

        return load(Path(folder))

    def _name(self, layer: str | int) -> str:
        names = list(self.totals)
        if isinstance(layer, int) and -len(names) <= layer < len(names):
            return names[layer]
        if layer in self.totals:
            return str(layer)
        raise InputError(f"No attention was seen in {layer!r}. Seen: {', '.join(names) or 'nothing'}.")
