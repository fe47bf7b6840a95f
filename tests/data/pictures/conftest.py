"""Real pictures, where they are at hand."""

from pathlib import Path

import pytest

from tests.conftest import SHARED


@pytest.fixture(scope="session")
def vision_data() -> Path:
    """Folder of real pictures."""
    folder = SHARED / "vision"
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set REGARD_DATA to a folder that has vision")
    return folder
