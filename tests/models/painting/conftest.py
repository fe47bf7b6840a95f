"""Shapes are checked."""

from jaxtyping import install_import_hook

CHECKED = [f"regard.models.painting.{name}" for name in ("autoencoder", "likelihood", "mixture", "prior", "vae")]

with install_import_hook(CHECKED, "beartype.beartype"):
    import regard.models.painting

assert regard.models.painting
