"""Models that paint pictures."""

from collections.abc import Callable

from regard.models.options import PainterOptions
from regard.models.painting.gan import Gan
from regard.models.painting.painter import Painted, Painter, PaintSizes
from regard.models.painting.vae import Vae

KINDS: dict[str, Callable[[PainterOptions, PaintSizes], Painter]] = {
    "gan": lambda options, sizes: Gan(options.gan, sizes),
    "vae": lambda options, sizes: Vae(options.vae, sizes),
}


def build_painter(options: PainterOptions, sizes: PaintSizes) -> Painter:
    """The painter that the options name, untrained."""
    return KINDS[options.name](options, sizes)


__all__ = ["Gan", "PaintSizes", "Painted", "Painter", "Vae", "build_painter"]
