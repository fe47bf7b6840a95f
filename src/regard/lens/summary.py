"""Names for what heads do most, by thresholds on measured means."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from regard.lens.record import Lens


@dataclass(frozen=True)
class Role:
    """A head has this role where the mean of a statistic reaches the threshold."""

    name: str
    statistic: str
    threshold: float
    says: str


ROLES = (
    Role("previous token", "previous_share", 0.4, "the key just before the query has 40 % of the weight"),
    Role("induction", "induction", 0.3, "the key after the last occurrence of the query's token has 30 %"),
    Role("sink", "sink_share", 0.5, "the first `sink_keys` keys have half of the weight"),
    Role("rests", "rest", 0.5, "half of the weight is on no key at all: a learned sink, or off-by-one, takes it"),
    Role("one key", "largest_weight", 0.8, "one key has 80 % of the weight, wherever it is"),
    Role("local", "window_share", 0.6, "keys within `window` have 60 %, and half as much again as all keys alike would give"),
    Role("diffuse", "evenness", 0.9, "entropy is 90 % of what looking at all permitted keys alike would give"),
)
"""Every role, in the order in which they are asked; a head is called by the first that it reaches. Alignments that were asked
for come before all, at ALIGNED; heads that reach none are "mixed", those without a mean "unknown"."""

ALIGNED = 0.4
"""Share of the weight on the keys of an alignment from which a head is called by its name."""


def roles(lens: Lens) -> dict[str, list[str]]:
    """Per layer, the role of each head."""
    return {
        layer: [_role(means, head, lens.window) for head in range(_num_heads(means))]
        for layer, means in lens.head_means().items()
    }


def induction_keys(tokens: Int[Tensor, "batch length"]) -> Int[Tensor, "batch length"]:
    """For each position the one after the last earlier occurrence of its token, −1 for none; an alignment for `Wanted`.

    Olsson et al. 2022, arXiv:2209.11895. O(length) memory and time but for a sort.
    """
    _batch, _length = tokens.shape
    order = tokens.argsort(dim=1, stable=True)
    ordered = tokens.gather(1, order)
    is_again = torch.zeros_like(tokens, dtype=torch.bool)
    is_again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    after = torch.full_like(tokens, -1, dtype=torch.long)
    after[:, 1:] = torch.where(is_again[:, 1:], order[:, :-1] + 1, -1)
    return torch.empty_like(after).scatter_(1, order, after)


def table(lens: Lens, most_lines: int = 400) -> str:
    """A line a head: its role and the means that roles are judged by; with ± where only a sample was read."""
    means, errors, named = lens.head_means(), lens.standard_errors(), roles(lens)
    width = max([len("layer"), *(len(layer) for layer in means)])
    aligned = list(dict.fromkeys(name for one in means.values() for name in one if name not in COLUMNS and name not in HIDDEN))
    columns = [name for name in COLUMNS if any(name in one for one in means.values())] + aligned
    lines = [f"{'layer':<{width}}  head  {'role':<14}  " + "  ".join(f"{name:>{_width(name)}}" for name in columns)]
    for layer, one in means.items():
        heads = lens.totals[layer].heads
        for place, head in enumerate(heads):
            cells = (_cell(one, errors[layer], name, place) for name in columns)
            lines.append(f"{layer:<{width}}  {head:>4}  {named[layer][place]:<14}  " + "  ".join(cells))
    if len(lines) > most_lines:
        lines = [*lines[:most_lines], f"… and {len(lines) - most_lines} heads more: lens.to_pandas() has all"]
    lines += [f"{layer:<{width}}  not seen: {reason}" for layer, reason in lens.unseen]
    return "\n".join([*lines, *(f"note: {note}" for note in lens.notes)])


COLUMNS = [
    "entropy_bits",
    "evenness",
    "largest_weight",
    "previous_share",
    "sink_share",
    "window_share",
    "mean_distance",
    "largest_logit",
]
HIDDEN = ["logsumexp", "total_weight", "distance_spread", "permitted_keys"]


def _width(name: str) -> int:
    return max(len(name), 12)


def _cell(means: Mapping[str, Tensor], errors: Mapping[str, Tensor], name: str, head: int) -> str:
    if name not in means:
        return " " * _width(name)
    error = float(errors[name][head])
    text = f"{float(means[name][head]):.3f}" + (f" ±{error:.3f}" if error else "")
    return f"{text:>{_width(name)}}"


def _num_heads(means: Mapping[str, Float[Tensor, " heads"]]) -> int:
    return len(next(iter(means.values()))) if means else 0


def _role(means: Mapping[str, Tensor], head: int, window: int) -> str:
    """The first role that a head reaches."""
    one = {name: float(value[head]) for name, value in means.items()}
    if all(math.isnan(value) for name, value in one.items() if name != "permitted_keys"):
        return "unknown"
    known = {role.statistic for role in ROLES}
    for name in one.keys() - set(COLUMNS) - set(HIDDEN) - known:
        if one[name] >= ALIGNED:
            return name
    if "total_weight" in one:
        one["rest"] = 1 - one["total_weight"]
    if "window_share" in one and 1.5 * (2 * window + 1) > one["window_share"] * one.get("permitted_keys", math.inf):
        del one["window_share"]  # so short a text lies within the window whatever the head does
    return next((role.name for role in ROLES if one.get(role.statistic, 0.0) >= role.threshold), "mixed")
