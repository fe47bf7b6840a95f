"""Does a picture tell what a prediction rests on? Tokens are taken away in the order of an attribution, against random orders.

Nothing here is about attention: an attribution is a number a token, a model is a function from masks to probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regard.errors import InputError

Score = Callable[[Bool[Tensor, "masks tokens"]], Float[Tensor, " masks"]]
"""Probability of what the model predicts for the whole example, for each mask: True = this token is kept."""

SHARES = 0.01, 0.05, 0.1, 0.2, 0.5
"""Shares of the tokens that are taken at a time; DeYoung et al. 2020, arXiv:1911.03429, section 4.1."""

MEASURES = {"comprehensiveness": 1, "sufficiency": -1, "deletion": -1, "insertion": 1}
"""By name, 1 where more is better and −1 where less is."""


@dataclass(frozen=True)
class Example:
    """A prediction to be tested, and the attributions to test it by."""

    score: Score
    attributions: Mapping[str, Float[Tensor, " tokens"]]
    """By name, how much each token is said to count for the prediction."""
    removable: Bool[Tensor, " tokens"] | None = None
    """False for tokens that always stay, such as a tokenizer's special ones; None where all may go."""

    def __post_init__(self) -> None:
        if not self.attributions:
            raise InputError("An example needs at least one attribution to test.")
        sizes = {name: tuple(x.shape) for name, x in self.attributions.items()}
        if len({*sizes.values(), self.is_removable.shape}) > 1 or self.is_removable.dim() != 1:
            raise InputError(f"Attributions and removable must be one number a token each, got {sizes}.")
        if self.num_removable < 2:
            raise InputError(f"An example needs two tokens or more that can be taken away, got {self.num_removable}.")

    @property
    def is_removable(self) -> Tensor:
        """`removable`, written out."""
        first = next(iter(self.attributions.values()))
        return torch.ones(first.shape, dtype=torch.bool) if self.removable is None else self.removable.cpu()

    @property
    def num_removable(self) -> int:
        """How many tokens can be taken away."""
        return int(self.is_removable.sum())


@dataclass(frozen=True)
class Faithfulness:
    """Measures of each attribution and of random orders, for each example.

    comprehensiveness: what the probability loses without the first tokens (eq. 1 of DeYoung et al. 2020), and sufficiency: what
    it loses with these alone (eq. 2), means over SHARES; deletion and insertion: the area under the probability as tokens are
    taken away or put in, first ones first (Petsiuk et al. 2018, arXiv:1806.07421, section 3.2).
    """

    values: dict[str, dict[str, Float[Tensor, " examples"]]]
    """By attribution and measure."""
    random: dict[str, Float[Tensor, "orders examples"]]
    """By measure, of random orders."""
    curves: dict[str, tuple[Float[Tensor, " points"], Float[Tensor, " points"]]] = field(repr=False)
    """Mean probability by attribution, and "random", at equal shares from 0 to 1: (deletion, insertion)."""

    @property
    def num_examples(self) -> int:
        """How many were tested."""
        return next(iter(self.random.values())).shape[1]

    def mean(self, name: str, measure: str) -> float:
        """Of an attribution, over the examples."""
        return float(self.values[name][measure].mean())

    def by_chance(self, measure: str) -> tuple[float, float]:
        """Mean of random orders, and the standard deviation of that mean from one order to another."""
        means = self.random[measure].mean(1)
        return float(means.mean()), float(means.std())

    def gain(self, name: str, measure: str) -> tuple[float, float]:
        """How much better than random an attribution is, and the noise: the larger of two standard errors.

        That of the orders drawn, and with several examples that of the examples.
        """
        differences = MEASURES[measure] * (self.values[name][measure] - self.random[measure].mean(0))
        noise = self.by_chance(measure)[1]
        if self.num_examples > 1:
            noise = max(noise, float(differences.std()) / math.sqrt(self.num_examples))
        return float(differences.mean()), noise

    def verdict(self, name: str, measure: str) -> str:
        """ "better", "no better" or "worse" than random: better is more than two times the noise."""
        gain, noise = self.gain(name, measure)
        return "better" if gain > 2 * noise else "worse" if gain < -2 * noise else "no better"

    def facts(self) -> dict[str, str]:
        """A line for each attribution, its verdict first, for a report."""
        lines = {f"faithfulness of {name}": self._line(name) for name in self.values}
        orders = next(iter(self.random.values())).shape[0]
        examples = "1 example" if self.num_examples == 1 else f"{self.num_examples} examples"
        return {**lines, "faithfulness tested on": f"{examples}, against {orders} random orders"}

    def _line(self, name: str) -> str:
        parts = []
        for verdict in ("better", "no better", "worse"):
            found = [measure for measure in MEASURES if self.verdict(name, measure) == verdict]
            if found:
                parts.append(f"{verdict} than random by " + ", ".join(self._figures(name, measure) for measure in found))
        return "; ".join(parts)

    def _figures(self, name: str, measure: str) -> str:
        mean, spread = self.by_chance(measure)
        return f"{measure} ({self.mean(name, measure):.3f}, random {mean:.3f} ± {spread:.3f})"


def faithfulness(
    examples: Iterable[Example], *, num_random: int = 20, num_points: int = 21, batch_size: int = 64, seed: int = 0
) -> Faithfulness:
    """Test the attributions of examples, which must have the same names, against `num_random` random orders.

    Each example costs at most 2 · (num_points + 5) passes of the model for each order, `batch_size` at a time; masks that are
    the same are run once. The same seed gives the same orders.
    """
    if num_random < 2 or num_points < 2 or batch_size < 1:
        given = f"{num_random}, {num_points} and {batch_size}"
        raise InputError(f"num_random and num_points must be at least 2, batch_size at least 1, got {given}.")
    dice = torch.Generator().manual_seed(seed)
    tested, names = [], None
    for example in examples:
        if names is not None and list(example.attributions) != names:
            raise InputError(f"All examples must have the same attributions, got {names} and {list(example.attributions)}.")
        names = list(example.attributions)
        tested.append(_test(example, num_random, num_points, batch_size, dice))
    if names is None:
        raise InputError("faithfulness needs at least one example, got none.")
    measured = {measure: torch.stack([one[measure] for one in tested], 1) for measure in MEASURES}
    mean_curves = [torch.stack([one[kind] for one in tested]).mean(0) for kind in ("deletion curve", "insertion curve")]
    count = len(names)
    curves = {name: (mean_curves[0][i], mean_curves[1][i]) for i, name in enumerate(names)}
    curves["random"] = (mean_curves[0][count:].mean(0), mean_curves[1][count:].mean(0))
    values = {name: {measure: of[i] for measure, of in measured.items()} for i, name in enumerate(names)}
    return Faithfulness(values, {measure: of[count:] for measure, of in measured.items()}, curves)


def _test(example: Example, num_random: int, num_points: int, batch_size: int, dice: torch.Generator) -> dict[str, Tensor]:
    """Every measure of each order, first those of the attributions, then the random ones."""
    number = example.num_removable
    ranks = _ranks(example, num_random, dice)
    at_shares = [math.ceil(share * number) for share in SHARES]
    at_points = [round(point * number / (num_points - 1)) for point in range(num_points)]
    counts = sorted({*at_shares, *at_points})
    left, kept = _probabilities(example, ranks, counts, batch_size)
    whole = left[:, :1]
    shares, points = ([counts.index(count) for count in some] for some in (at_shares, at_points))
    x = torch.tensor(at_points, dtype=torch.float64) / number
    return {
        "comprehensiveness": (whole - left[:, shares]).mean(1),
        "sufficiency": (whole - kept[:, shares]).mean(1),
        "deletion": torch.trapezoid(left[:, points], x),
        "insertion": torch.trapezoid(kept[:, points], x),
        "deletion curve": left[:, points],
        "insertion curve": kept[:, points],
    }


def _ranks(example: Example, num_random: int, dice: torch.Generator) -> Tensor:
    """(orders, tokens): 0 for the token that counts most; tokens that stay come last. Ties fall as the dice do."""
    given = torch.stack([x.detach().cpu().double() for x in example.attributions.values()])
    if not given.isfinite().all():
        raise InputError("Attributions must be finite numbers, got NaN or infinity.")
    tokens = given.shape[1]
    orders = []
    for row in (*given, *torch.zeros(num_random, tokens, dtype=torch.float64)):
        shuffled = torch.randperm(tokens, generator=dice)
        row = torch.where(example.is_removable, row, -math.inf)
        orders.append(shuffled[row[shuffled].argsort(descending=True, stable=True)])
    return torch.stack(orders).argsort(1)


def _probabilities(example: Example, ranks: Tensor, counts: list[int], batch_size: int) -> tuple[Tensor, Tensor]:
    """(orders, counts) each: without the first `count` tokens of an order, and with these alone."""
    first = ranks[:, None] < torch.tensor(counts)[:, None]
    always = ~example.is_removable
    masks = torch.stack([~first | always, first | always])
    distinct, place = masks.flatten(0, 2).unique(dim=0, return_inverse=True)
    found = torch.cat([_scored(example, part) for part in distinct.split(batch_size)])
    left, kept = found[place].view(masks.shape[:3])
    return left, kept


@torch.no_grad()
def _scored(example: Example, masks: Tensor) -> Tensor:
    found = example.score(masks)
    if tuple(found.shape) != (len(masks),) or not bool(((found >= 0) & (found <= 1 + 1e-4)).all()):
        raise InputError(f"score must give one probability for each of {len(masks)} masks, got {tuple(found.shape)}: {found}.")
    return found.detach().cpu().double()
