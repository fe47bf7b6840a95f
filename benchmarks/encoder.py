"""What the heads of a real encoder do, over 500 sentences of English.

python benchmarks/encoder.py MODEL SENTENCES.conll [--page report.html]

The sentences are the first 500 of four words or more; their words are joined by spaces. Roles and means of each head go to
benchmarks/results/lens_encoder.json, the page to where `regard look` writes it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

from common import regard, write

from regard.data.conll import read_conll


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("sentences", type=Path)
    parser.add_argument("--page", default="report.html")
    options = parser.parse_args()
    texts = [" ".join(one.tokens) for one in read_conll(options.sentences)[0] if len(one.tokens) > 3][:500]
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "sentences.txt"
        lines.write_text("\n".join(texts) + "\n", encoding="utf8")
        found, _ = regard("look", options.model, "--input", str(lines), "--lines", "--out", options.page)
    named = Counter(head["role"] for head in found["heads"])
    told = {"model": Path(options.model).name, "sentences": options.sentences.parent.name + "/" + options.sentences.name}
    print(write("lens_encoder", told | {"num_tokens": found["num_tokens"], "roles": dict(named), "heads": found["heads"]}))


if __name__ == "__main__":
    main()
