"""Small plots as SVG: a line of numbers over the last minutes, drawn by the server."""

from __future__ import annotations

from collections.abc import Sequence

# The plot's own units. It is stretched to whatever room it has.
WIDTH, HEIGHT = 240, 40
# Half a unit from either edge, where half of the stroke would be cut off.
_EDGE, _GROUND = 0.5, HEIGHT - 0.5


def ceiling(highest: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 … that is not below: a scale that a person can say."""
    size = 1.0
    while True:
        for step in (1, 2, 5):
            if highest <= step * size:
                return step * size
        size *= 10


def line(values: Sequence[float], top: float, points: int) -> str:
    """The path of a line, the newest value at the right edge; `top` is the scale's end."""
    if not values:
        return ""
    step = WIDTH / (points - 1)
    shown = values[-points:]
    start = WIDTH - step * (len(shown) - 1)
    places = [
        f"{start + number * step:.1f} {_GROUND - (_GROUND - _EDGE) * min(value, top) / top:.1f}"
        for number, value in enumerate(shown)
    ]
    return "M" + "L".join(places)


def area(values: Sequence[float], top: float, points: int) -> str:
    """The path of what is below that line."""
    above = line(values, top, points)
    if not above:
        return ""
    left = above[1:].partition(" ")[0]
    return f"{above}L{WIDTH} {_GROUND}L{left} {_GROUND}Z"
