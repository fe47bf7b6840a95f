"""Models that paint pictures."""

from collections.abc import Callable
from dataclasses import replace

from regard.models.options import PainterOptions, usual_widths
from regard.models.painting.gan import Gan
from regard.models.painting.painter import Painted, Painter, PaintSizes
from regard.models.painting.vae import Vae

KINDS: dict[str, Callable[[PainterOptions, PaintSizes], Painter]] = {
    "gan": lambda options, sizes: Gan(options.gan, sizes),
    "vae": lambda options, sizes: Vae(options.vae, sizes),
}


def build_painter(options: PainterOptions, sizes: PaintSizes) -> Painter:
    """The painter that the options name, untrained; with the usual widths where they name none."""
    chosen = getattr(options, options.name)
    widths = chosen.widths or usual_widths(sizes.size)
    return KINDS[options.name](replace(options, **{options.name: replace(chosen, widths=widths)}), sizes)


__all__ = ["Gan", "PaintSizes", "Painted", "Painter", "Vae", "build_painter"]
