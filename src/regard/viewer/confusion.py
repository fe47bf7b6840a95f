"""A confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

CELL, LETTER, MARGIN = 44, 7.2, 24
SMALL_CELL, MANY = 14, 24
"""Of more classes than that, cells are small and without numbers."""
MOST = 100
"""Classes that are shown: as many cells as that are 2 MB."""
LONGEST = 24


def confusion(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """An SVG: a row for each right class, a column for each that was said, shaded by shares of the row.

    Of more than MOST classes, those that were most often taken for another, or another for them; shares are of the whole row.
    """
    shown = _most_confused(counts)
    cell = CELL if len(shown) <= MANY else SMALL_CELL
    names = [classes[place] for place in shown]
    labels = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in names]
    room = MARGIN + LETTER * max(map(len, labels), default=0)
    size = room + cell * len(shown) + MARGIN
    cut = f" · the {len(shown)} most confused of {len(classes):,} classes" if len(shown) < len(classes) else ""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size:.0f} {size:.0f}" width="{size:.0f}" '
        'font-family="system-ui, sans-serif" font-size="12" role="img">',
        "<title>Confusion matrix: a row for each right class, a column for each that was said</title>",
        f'<rect width="{size:.0f}" height="{size:.0f}" fill="#fff"/>',
        f'<text x="{room}" y="14" fill="#555">what was said →{cut}</text>',
    ]
    for place, label in enumerate(map(escape, labels)):
        middle = room + cell * (place + 0.5)
        parts.append(f'<text x="{room - 6}" y="{middle + 4:.1f}" text-anchor="end">{label}</text>')
        parts.append(f'<text transform="translate({middle + 4:.1f} {room - 6}) rotate(-90)">{label}</text>')
    for row, place in enumerate(shown):
        numbers = [counts[place][column] for column in shown]
        parts += _row(names, row, numbers, sum(counts[place]), room, cell)
    return "\n".join([*parts, "</svg>\n"])


def _most_confused(counts: Sequence[Sequence[int]]) -> list[int]:
    """Places of at most MOST classes, in their order."""
    columns = list(zip(*counts, strict=True))
    wrong = [sum(row) + sum(columns[place]) - 2 * row[place] for place, row in enumerate(counts)]
    return sorted(sorted(range(len(counts)), key=lambda place: -wrong[place])[:MOST])


def _row(names: Sequence[str], row: int, numbers: Sequence[int], total: int, room: float, cell: int) -> list[str]:
    parts = []
    for column, number in enumerate(numbers):
        share = number / max(1, total)
        hue = "37 99 180" if row == column else "196 84 26"
        x, y = room + cell * column, room + cell * row
        fill = f"rgb({hue} / {0.06 + 0.94 * share:.3f})"
        told = escape(f"{names[row]}, said to be {names[column]}: {number:,} ({100 * share:.1f} %)")
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{cell - 1}" height="{cell - 1}" fill="{fill}"><title>{told}</title></rect>'
        )
        if number and cell == CELL:
            ink = "#fff" if share > 0.5 else "#222"
            parts.append(
                f'<text x="{x + cell / 2:.1f}" y="{y + cell / 2 + 4:.1f}" text-anchor="middle" fill="{ink}" '
                f'pointer-events="none">{number}</text>'
            )
    return parts
