"""Six sample pictures, drawn by code: the same on every machine."""

from collections.abc import Callable
from math import cos, exp, pi, sin
from typing import NamedTuple

from PIL import Image, ImageChops, ImageDraw

from .drawing import OVERSIZE, Box, Points, curve, fill_below, finished, glaze, glow, gradient, line, oversize, ramp


def tideline() -> Image.Image:
    """Bands of water, from the horizon to the sand."""
    size = width, height = oversize(1600, 1100)
    picture = gradient(size, "#f4d9b8", "#f0c6a4", "#dfb9a8")
    bands = ramp(11, "#7ea7ae", "#2f6f80", "#123f55", "#2c7684", "#9cc9bf", "#efe3c8", "#e6cfa3")
    for number, colour in enumerate(bands):
        nearness = number / (len(bands) - 1)
        top = height * (0.30 + 0.62 * nearness**1.25)
        swell = height * (0.006 + 0.030 * nearness)
        crest = curve(
            width,
            lambda x, n=number, top=top, swell=swell: (
                top + swell * (sin(x * 7 + n * 1.9) + 0.6 * sin(x * 13 - n * 2.7) + 0.3 * sin(x * 29 + n))
            ),
        )
        fill_below(picture, crest, colour)
        line(picture, crest, "#fbf5e6", width=5 + int(nearness * 12), opacity=70 + int(110 * nearness))
    return finished(picture)


def shutters() -> Image.Image:
    """A window in a hot wall, closed against noon."""
    size = width, height = oversize(1200, 1500)
    picture = gradient(size, "#e9b15f", "#dd9a48", "#c97f3a")
    left, top, right, bottom = (width * 0.24, height * 0.17, width * 0.72, height * 0.80)
    far, low = width * 0.16, height * 0.10
    shadow = [
        (right, top),
        (right + far, top + low),
        (right + far, bottom + low),
        (left + far, bottom + low),
        (left, bottom),
        (right, bottom),
    ]
    picture = glaze(picture, shadow, "#d39a7c")
    frame = width * 0.022
    draw = ImageDraw.Draw(picture)
    draw.rectangle((left - frame, top - frame, right + frame, bottom + frame), fill="#f6e6c6")
    middle = (left + right) / 2
    _louvres(draw, (left, top, middle - frame / 2, bottom), frame, dark="#1f5a5c", light="#3d8a83")
    _louvres(draw, (middle + frame / 2, top, right, bottom), frame, dark="#184a50", light="#327a78")
    beam = [(0, height * 0.02), (width * 0.50, 0), (width, height * 0.62), (width, height * 0.98)]
    return finished(glow(picture, beam, "#ffe9b0", opacity=62))


def six_moons() -> Image.Image:
    """Six inks that overlap."""
    size = side, _ = oversize(1400, 1400)
    picture = gradient(size, "#f8f1e2", "#f3e8d3")
    inks = ["#e4715a", "#edae49", "#7fb08d", "#4f8fa8", "#6d6a9f", "#d98a9c"]
    radius = side * 0.235
    for number, ink in enumerate(inks):
        angle = pi / 2 + number * pi / 3
        x, y = side / 2 + side * 0.205 * cos(angle), side / 2 - side * 0.205 * sin(angle)
        layer = Image.new("RGB", size, "white")
        ImageDraw.Draw(layer).ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
        picture = ImageChops.multiply(picture, layer)
    return finished(picture)


def orchard() -> Image.Image:
    """Leaves and fruit, in rows."""
    columns, rows, tile = 10, 8, 150 * OVERSIZE
    picture = Image.new("RGB", (columns * tile, rows * tile), "#f2ead8")
    draw = ImageDraw.Draw(picture)
    grounds = ["#f2ead8", "#e8dcc0", "#1f4d45", "#c9d3b0", "#e9c46a", "#f2ead8"]
    leaves = ["#2f6b55", "#7d9d6a", "#d9603b", "#e9a23b", "#1f4d45", "#a8442f"]
    for row in range(rows):
        for column in range(columns):
            pick = column * 7 + row * 11 + (column * row) % 5
            ground, leaf = grounds[pick % 6], leaves[(pick // 2 + column) % 6]
            if leaf == ground:
                leaf = "#e9c46a"
            box = (column * tile, row * tile, (column + 1) * tile - 1, (row + 1) * tile - 1)
            draw.rectangle(box, fill=ground)
            _leaf(draw, box, kind=pick % 4, turn=(column + row * 3) % 4, fill=leaf)
    return finished(picture)


def ridge() -> Image.Image:
    """Hills behind hills, after rain."""
    size = width, height = oversize(1600, 1067)
    picture = gradient(size, "#5f7f9c", "#a9b4bf", "#f0cdb0", "#f6dcc0")
    sun = [
        (width * 0.68 + height * 0.085 * cos(step * pi / 60), height * 0.36 + height * 0.085 * sin(step * pi / 60))
        for step in range(120)
    ]
    picture = glow(picture, sun, "#fff1d2", opacity=255, blur=height / 14)
    picture = glow(picture, sun, "#fff6e2", opacity=235, blur=height / 400)
    hills = ramp(7, "#cdb9b3", "#97a3b0", "#5d7688", "#34535f", "#1a343d")
    for number, colour in enumerate(hills):
        base = height * (0.46 + 0.075 * number)
        steep = height * (0.035 + 0.012 * number)
        crest = curve(
            width,
            lambda x, n=number, base=base, steep=steep: (
                base
                - steep * sin(x * (3.1 + 0.4 * n) + n * 2.3)
                - steep * 0.55 * abs(sin(x * (5.7 + n) + n * 1.1))
                - steep * 0.16 * abs(sin(x * 23 + n * 3.7))
                - steep * 0.07 * abs(sin(x * 61 - n))
            ),
        )
        fill_below(picture, crest, colour)
        mist = gradient((width, int(height * 0.12)), "#000000", "#3a3a3a").convert("L")
        picture.paste("#f3dccb", (0, int(base + height * 0.02)), mist)
        fill_below(picture, [(x, y + height * 0.14) for x, y in crest], colour)
    return finished(picture)


def slow_weather() -> Image.Image:
    """A front passing, line by line."""
    size = width, height = oversize(1200, 1500)
    night = "#151a30"
    picture = Image.new("RGB", size, night)
    lines = 64
    for number, colour in enumerate(ramp(lines, "#7fd1d8", "#a7b7ef", "#e59ac0", "#f4a67a", "#f7cf83")):
        depth = number / (lines - 1)
        base = height * (0.20 + 0.70 * depth)
        crest = curve(width, lambda x, d=depth, base=base: base - height * _front(x, d), margin=0.12)
        fill_below(picture, crest, night)
        line(picture, crest, colour, width=6, opacity=235)
    return finished(picture)


class Sample(NamedTuple):
    """A sample work."""

    draw: Callable[[], Image.Image]
    title: str
    technique: str
    year: int
    alt: str
    text: str


# Oldest first, as they are added.
SAMPLES = [
    Sample(
        slow_weather,
        "Slow Weather",
        "Pigment print, 60 × 75 cm",
        2023,
        "Fine lines across a night-blue sheet, lifted here and there as if something moved below.",
        "A barometer’s notebook for one week in October, read from the top. Nothing happened on any single day."
        "\n\nSeen from across the room it is a storm.",
    ),
    Sample(
        orchard,
        "Orchard, Counted",
        "Cut paper, 75 × 60 cm",
        2024,
        "A grid of leaf, half-moon and quarter-circle shapes in greens, rust and yellow.",
        "Eighty squares, one for each tree that was still standing. The colours are those of the labels "
        "that were tied to them.",
    ),
    Sample(
        shutters,
        "Noon, Shutters Closed",
        "Gouache on board, 40 × 50 cm",
        2024,
        "Closed green shutters in an ochre wall, a band of sunlight falling across them.",
        "The house opposite, for the ten minutes in which its shadow is exactly as wide as its frame.",
    ),
    Sample(
        ridge,
        "Ridge After Rain",
        "Watercolour, 60 × 40 cm",
        2025,
        "A pale sun above seven ranges of hills that darken towards the front.",
        "Seven hills, of which only four are there on an ordinary day.\n\nPainted from the back to the front, "
        "each while the one before it was still damp.",
    ),
    Sample(
        six_moons,
        "Six Moons",
        "Screen print, 50 × 50 cm, edition of 12",
        2025,
        "Six overlapping discs of transparent ink in a ring, darkest where they meet.",
        "Six inks and no black: what is dark in the middle is all of them together.",
    ),
    Sample(
        tideline,
        "Tideline",
        "Oil on linen, 80 × 55 cm",
        2026,
        "Waves in bands of teal and deep blue that pale into foam and sand.",
        "From the end of the pier, looking back. The sea does the same thing eleven times, never quite.",
    ),
]


def _front(x: float, depth: float) -> float:
    """Return how far a line of slow_weather is raised, as a fraction of the height."""
    hills = ((0.30, 0.22, 0.11, 0.105), (0.68, 0.48, 0.10, 0.13), (0.42, 0.78, 0.15, 0.085))
    lift = sum(rise * exp(-(((x - at) / wide) ** 2) - ((depth - when) / 0.20) ** 2) for at, when, wide, rise in hills)
    ripple = 0.0035 * sin(x * 41 + depth * 37) + 0.0025 * sin(x * 83 - depth * 59)
    return lift * (1 + 0.10 * sin(x * 57 + depth * 71)) + ripple


def _louvres(draw: ImageDraw.ImageDraw, box: Box, frame: float, *, dark: str, light: str) -> None:
    """Draw one wing of the shutters."""
    left, top, right, bottom = box
    draw.rectangle(box, fill=dark)
    slats = 22
    pitch = (bottom - top - frame) / slats
    for slat in range(slats):
        y = top + frame + slat * pitch
        draw.rectangle((left + frame, y, right - frame, y + pitch * 0.52), fill=light)


def _leaf(draw: ImageDraw.ImageDraw, box: Box, *, kind: int, turn: int, fill: str) -> None:
    """Draw one tile of the orchard: quarter circle, leaf, fruit or half-moon."""
    left, top, right, bottom = box
    tile = right - left
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    if kind == 0:
        _quarter(draw, corners[turn], tile, turn, fill)
    elif kind == 1:
        along = ((0, 2), (1, 3))[turn % 2]
        draw.polygon(_lens(corners[along[0]], corners[along[1]]), fill=fill)
    elif kind == 2:
        inset = tile * 0.22
        draw.ellipse((left + inset, top + inset, right - inset, bottom - inset), fill=fill)
    else:
        draw.pieslice(box, turn * 90, turn * 90 + 180, fill=fill)


def _quarter(draw: ImageDraw.ImageDraw, corner: tuple[float, float], tile: float, turn: int, fill: str) -> None:
    """Draw a quarter circle around a tile's corner."""
    x, y = corner
    draw.pieslice((x - tile, y - tile, x + tile, y + tile), turn * 90, turn * 90 + 90, fill=fill)


def _lens(start: tuple[float, float], end: tuple[float, float]) -> Points:
    """Return the outline of a leaf from corner to corner."""
    (x1, y1), (x2, y2) = start, end
    steps = [step / 40 for step in range(41)]

    def side(sign: int) -> Points:
        return [
            (
                x1 + (x2 - x1) * t - sign * 0.28 * (y2 - y1) * sin(pi * t),
                y1 + (y2 - y1) * t + sign * 0.28 * (x2 - x1) * sin(pi * t),
            )
            for t in steps
        ]

    return side(1) + side(-1)[::-1]
