"""What painting is measured by is looked for before there is anything to measure."""

import pytest

from regard.errors import InputError
from regard.models.options import FeatureOptions
from regard.tasks.paint.scores import prepared


def test_a_file_of_statistics_that_is_missing_is_told(tmp_path):
    with pytest.raises(InputError, match=r"real\.npz: statistics must be a file that exists, or a folder to keep them in"):
        prepared(FeatureOptions(reference=str(tmp_path / "real.npz")))


def test_a_folder_of_statistics_is_made(tmp_path):
    for _ in range(2):
        prepared(FeatureOptions(reference=str(tmp_path / "kept" / "here")))
    assert list((tmp_path / "kept" / "here").iterdir()) == []


def test_a_folder_of_statistics_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="statistics cannot be kept there: Not a directory") as caught:
        prepared(FeatureOptions(reference=str(tmp_path / "file" / "kept")))
    assert "--features.reference" in str(caught.value)
    assert "--out" not in str(caught.value)
