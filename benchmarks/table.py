"""Write the README's results table from benchmarks/results/*.json; --check only says whether it is up to date."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from common import RESULTS

README = Path(__file__).parents[1] / "README.md"
MARKS = ("<!-- results: python benchmarks/table.py -->", "<!-- end of results -->")
PEERS = {  # measured on two cores: spaCy 3.8, `ner` from scratch without vectors
    "entities_btc_en": "spaCy 3.8 from scratch: 64.1 in 336 s",
    "entities_wnut17_en": "spaCy 3.8 from scratch: 17.4 in 202 s",
}
NAMES = {"entities_btc_en": "Broad Twitter Corpus, English", "entities_wnut17_en": "WNUT-17, English"}


def link(name: str, text: str) -> str:
    """A figure that links to its file."""
    return f"[{text}](benchmarks/results/{name}.json)"


def rows() -> list[str]:
    """The table, a line each."""
    lines = ["| task | data | figure | beside it |", "|---|---|---|---|"]
    for name, title in NAMES.items():
        path = RESULTS / f"{name}.json"
        if not path.exists():
            continue
        result = json.loads(path.read_text())
        f1, seconds = result["test_f1_percent"], result["train_seconds"]
        figure = (
            f"{f1['median']:.1f} F1 ({f1['min']:.1f}–{f1['max']:.1f}, {len(result['runs'])} seeds) in {seconds['median']:.0f} s"
        )
        lines.append(f"| `ner`, from scratch, two cores | {title}, test | {link(name, figure)} | {PEERS[name]} |")
    demo = RESULTS / "demo.json"
    if demo.exists():
        result = json.loads(demo.read_text())
        figure = f"{result['exact_match_percent']['median']:.1f} % exact match after {result['train_seconds']['median']:.0f} s"
        lines.append(f"| `demo` | written dates, 32 locales, days never seen | {link('demo', figure)} | |")
    return lines


def main() -> int:
    """Compare, and write unless --check."""
    text = README.read_text(encoding="utf8")
    table = "\n".join([MARKS[0], *rows(), MARKS[1]])
    wanted = re.sub(f"{re.escape(MARKS[0])}.*?{re.escape(MARKS[1])}", lambda _: table, text, flags=re.S)
    if wanted == text:
        return 0
    if "--check" in sys.argv:
        print("README.md does not say what benchmarks/results says. Run: python benchmarks/table.py")
        return 1
    README.write_text(wanted, encoding="utf8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
