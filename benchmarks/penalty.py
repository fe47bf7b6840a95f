"""What does a gan's gradient penalty take through attention, in time and memory, the larger the map that looks at itself?

    python benchmarks/penalty.py [--sides 16 32 64 128]

The penalty (R1) is the square of a gradient, so its own gradient goes through attention twice. For each side of pictures the
discriminator of `regard train paint` is taken with attention at its largest map, by the backend that is chosen and by the
definition that holds the whole matrix, and without attention; each figure is that above the one without. Results go to
benchmarks/results/penalty.json.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from common import write

from attention import Machine
from regard.attention.gates import NonLocal
from regard.models.options import GanOptions
from regard.models.painting.gan import Gan
from regard.models.painting.painter import PaintSizes

WIDTHS, PICTURES, MOST_MATRIX = (16, 16), 4, 64 * 64
"""The definition is left out where it has more positions: a matrix of them alone takes gigabytes."""


def penalised(side: int, backend: str) -> Gan:
    """A gan whose discriminator looks at its largest map by this backend; "" is without attention."""
    torch.manual_seed(0)
    made = Gan(GanOptions(widths=WIDTHS, attention_at=(side,) if backend else ()), PaintSizes(1, side))
    for module in made.modules():
        if isinstance(module, NonLocal):
            module.backend = backend
            torch.nn.init.ones_(module.gain)
    return made


def measured(machine: Machine, side: int, backend: str) -> dict[str, float]:
    """Seconds and extra memory of a penalty and its gradient."""
    made, pixels = penalised(side, backend), machine.random(PICTURES, 1, side, side)

    def run() -> None:
        made.zero_grad()
        made.penalty(pixels).backward()

    run()
    seconds = sorted(machine.seconds(run) for _ in range(3))[1]
    return {"seconds": seconds, "extra_mb": machine.extra_mb(run)}


def main() -> None:
    """All sides."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[16, 32, 64, 128])
    machine, rows = Machine("cpu", torch.float32), list[dict[str, Any]]()
    for side in parser.parse_args().sides:
        plain = measured(machine, side, "")
        for backend in ("auto", "reference"):
            if backend == "reference" and side * side > MOST_MATRIX:
                continue
            found = measured(machine, side, backend)
            above = {key: found[key] - plain[key] for key in found}
            rows.append({"side": side, "positions": side * side, "backend": backend, **above, "without": plain})
            print(rows[-1])
            write("penalty", {"question": __doc__.split("\n")[0], "pictures": PICTURES, "results": rows})


if __name__ == "__main__":
    main()
