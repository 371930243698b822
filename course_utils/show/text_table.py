"""Tables as text."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[object]], sides: str, least: Sequence[int] | None = None) -> list[str]:
    """A line for each row, its columns two spaces apart.

    sides: a letter for each column, "<" to align it left or ">" to align it right.
    least: how many characters wide each column is at least; rows that are printed one by one need that to line up.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    widths = least or [0] * len(sides)
    widths = [max(width, *map(len, column)) for width, column in zip(widths, zip(*cells, strict=True), strict=True)]
    layout = "  ".join(f"{{:{side}{width}}}" for side, width in zip(sides, widths, strict=True))
    return [layout.format(*row).rstrip() for row in cells]
