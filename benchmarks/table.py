"""Write the tables of README and docs/performance.md from benchmarks/results; --check only says if they are up to date."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from common import RESULTS

README = Path(__file__).parents[1] / "README.md"
PERFORMANCE = README.parent / "docs" / "performance.md"
PEERS = {  # measured on two cores: spaCy 3.8, `ner` from scratch without vectors
    "entities_btc_en": "spaCy 3.8 from scratch: 64.1 in 336 s",
    "entities_wnut17_en": "spaCy 3.8 from scratch: 17.4 in 202 s",
}
SHOWN = {
    "cpu": ["window 512, N=4096, forward", "window 512, N=4096, forward+backward"],
    "cuda": ["window 1024, N=32768, head 64, forward", "window 1024, N=32768, head 64, forward+backward"],
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
    for device, where in (("cpu", "two cores"), ("cuda", "an H100")):
        path = RESULTS / f"attention_pairs_{device}.json"
        found = {case["case"]: case for case in json.loads(path.read_text())["results"]} if path.exists() else {}
        for case in SHOWN[device]:
            if case in found:
                figure = f"{found[case]['time_ratio']:.2f} of the time of {found[case]['peer']}"
                lines.append(
                    f"| attention on {where} | causal {case} | {link(path.stem, figure)} | [more](docs/performance.md) |"
                )
    return lines


def pairs() -> list[str]:
    """The cases of benchmarks/attention.py against their best peers."""
    lines = []
    for device, title in (("cpu", "on a CPU, float32"), ("cuda", "on a GPU, bfloat16")):
        path = RESULTS / f"attention_pairs_{device}.json"
        if not path.exists():
            continue
        result = json.loads(path.read_text())
        where = result["machine"] if device == "cpu" else result["device"]
        lines += [
            "",
            f"**{title}** — {where}, PyTorch {result['versions']['torch']}, [file](../benchmarks/results/{path.name})",
            "",
        ]
        lines += ["| case | ours, ms | peer, ms | ratio | memory, MB: ours, peer |", "|---|---|---|---|---|"]
        for case in result["results"]:
            ours, peer = case["regard"], case[case["peer"]]
            times = f"{ours['ms']['median']:.3g} | {case['peer']} {peer['ms']['median']:.3g} | {case['time_ratio']:.2f}"
            lines.append(f"| {case['case']} | {times} | {ours['extra_mb']:.0f}, {peer['extra_mb']:.0f} |")
    return [*lines, ""]


TABLES = (
    (README, "<!-- results: python benchmarks/table.py -->", "<!-- end of results -->", rows),
    (PERFORMANCE, "<!-- pairs: python benchmarks/table.py -->", "<!-- end of pairs -->", pairs),
)


def main() -> int:
    """Compare, and write unless --check."""
    stale = 0
    for page, start, end, lines in TABLES:
        text = page.read_text(encoding="utf8")
        table = "\n".join([start, *lines(), end])
        wanted = re.sub(f"{re.escape(start)}.*?{re.escape(end)}", lambda _, table=table: table, text, flags=re.S)
        if wanted == text:
            continue
        if "--check" in sys.argv:
            print(f"{page.name} does not say what benchmarks/results says. Run: python benchmarks/table.py")
            stale = 1
        else:
            page.write_text(wanted, encoding="utf8")
    return stale


if __name__ == "__main__":
    sys.exit(main())
