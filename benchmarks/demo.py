"""How well and how fast does `regard demo` learn to read dates?

python benchmarks/demo.py [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from common import regard, spread, write

KEPT = ("exact_match_percent", "train_seconds", "num_dates", "parameters", "peak_memory_mb", "per_locale")


def main() -> None:
    """Run all seeds, each a whole command of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    runs = []
    for seed in parser.parse_args().seeds:
        with tempfile.TemporaryDirectory() as temporary:
            result, _ = regard("demo", "--seed", str(seed), "--out", str(Path(temporary) / "demo"))
        runs.append({"seed": seed, **{key: result[key] for key in KEPT}})
        print(json.dumps(runs[-1]), file=sys.stderr)
        write(
            "demo",
            {
                "question": "regard demo: exact match on days never seen, training time on two cores",
                "exact_match_percent": spread([run["exact_match_percent"] for run in runs]),
                "train_seconds": spread([run["train_seconds"] for run in runs]),
                "runs": runs,
            },
        )


if __name__ == "__main__":
    main()
