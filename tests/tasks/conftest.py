"""What the tests of several tasks share."""

import jaxtyping
import pytest


@pytest.fixture(scope="module")
def unchecked_shapes():
    """While a model is traced, the number of pictures is a symbol, which is no int."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
