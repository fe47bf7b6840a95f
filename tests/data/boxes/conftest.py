"""Real pictures, where they are at hand."""

from tests.data.pictures.conftest import vision_data  # noqa: F401
