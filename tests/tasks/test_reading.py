"""What readers of words are filled with before they learn."""

import pytest
import torch

from regard.models.options import EncoderOptions, WordOptions
from regard.tasks.reading import Reading, load_pretrained


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ("the 0 0\nof 3 -3\nand 0 0\n", [[0, 0], [2.5**0.5, -(2.5**0.5)], [0, 0]]),  # variance 18 / 5
        ("the 1 1\nof 1 1\n", [[1, 1], [1, 1]]),
        ("the 0.1 0.1 0.1\nof 0.1 0.1 0.1\n", [[0.1] * 3] * 2),
        ("the 7\n", [[7]]),
    ],
)
def test_vectors_are_scaled_to_a_deviation_of_one_where_they_have_one(tmp_path, rows, wanted):
    path = tmp_path / "vectors.txt"
    path.write_text(rows)
    words, none = WordOptions(vectors=str(path)), EncoderOptions()
    read = Reading.fit([["the", "of"]], words, none).build(words, none)
    load_pretrained(read, words, none)
    given = torch.tensor(wanted, dtype=torch.float32)
    torch.testing.assert_close(read.vectors.vectors.weight[2:], given)
