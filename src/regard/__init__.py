"""Build, train and see attention."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Loaded on first use, so that `import regard` and `regard --help` cost nothing.
_PUBLIC = {
    "plan": "regard.attention.functional",
    "MultiHeadAttention": "regard.attention.multihead",
    "Mechanism": "regard.attention.mechanism",
    "ScaledDot": "regard.attention.scaled_dot",
    "Additive": "regard.attention.additive",
    "Mask": "regard.attention.masks",
    "everything": "regard.attention.masks",
    "causal": "regard.attention.masks",
    "window": "regard.attention.masks",
    "padding": "regard.attention.masks",
    "document": "regard.attention.masks",
    "dense": "regard.attention.masks",
    "picture": "regard.attention.masks",
    "watch": "regard.lens.watch",
    "Lens": "regard.lens.record",
    "Wanted": "regard.lens.statistics",
    "InputError": "regard.errors",
}
__all__ = sorted(_PUBLIC)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'regard' has no attribute {name!r}. Public names: {', '.join(__all__)}.")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
