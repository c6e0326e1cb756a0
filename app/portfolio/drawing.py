"""Drawing with Pillow: gradients, curves, transparent inks."""

from collections.abc import Callable

from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFilter

Size = tuple[int, int]
Box = tuple[float, float, float, float]
Points = list[tuple[float, float]]
Colour = tuple[int, int, int]

# Pictures are drawn this many times larger and scaled down, which smooths the edges.
OVERSIZE = 2


def oversize(width: int, height: int) -> Size:
    """Return the size at which a picture is drawn."""
    return width * OVERSIZE, height * OVERSIZE


def finished(picture: Image.Image) -> Image.Image:
    """Return the picture at its final size."""
    return picture.reduce(OVERSIZE)


def ramp(count: int, *colours: str) -> list[Colour]:
    """Return evenly spaced steps from the first colour through all others."""
    stops = [ImageColor.getrgb(colour) for colour in colours]
    steps = []
    for number in range(count):
        place = number / (count - 1) * (len(stops) - 1)
        start = min(int(place), len(stops) - 2)
        part = place - start
        steps.append(tuple(round(a + (b - a) * part) for a, b in zip(stops[start], stops[start + 1], strict=True)))
    return steps


def gradient(size: Size, *colours: str) -> Image.Image:
    """Return a sheet that goes from the first colour at the top to the last one."""
    strip = Image.new("RGB", (1, size[1]))
    strip.putdata(ramp(size[1], *colours))
    return strip.resize(size)


def curve(width: int, height_at: Callable[[float], float], *, margin: float = 0.0) -> Points:
    """Return the points of a curve over the picture's width; x runs from 0 to 1."""
    steps = 480
    return [(x * width, height_at(x)) for x in (margin + (1 - 2 * margin) * step / steps for step in range(steps + 1))]


def fill_below(picture: Image.Image, crest: Points, colour: str | Colour) -> None:
    """Paint everything below a curve."""
    ground = [(crest[-1][0], picture.height), (crest[0][0], picture.height)]
    ImageDraw.Draw(picture).polygon([*crest, *ground], fill=colour)


def line(picture: Image.Image, points: Points, colour: str | Colour, *, width: int, opacity: int) -> None:
    """Draw a transparent line that spans the picture."""
    # A sheet as large as the picture would take most of the time.
    top = max(0, int(min(y for _, y in points)) - width)
    low = min(picture.height, int(max(y for _, y in points)) + width + 1)
    mask = Image.new("L", (picture.width, low - top))
    ImageDraw.Draw(mask).line([(x, y - top) for x, y in points], fill=opacity, width=width, joint="curve")
    picture.paste(colour, (0, top), mask)


def glaze(picture: Image.Image, shape: Points, colour: str) -> Image.Image:
    """Darken a shape, as a transparent ink does."""
    layer = Image.new("RGB", picture.size, "white")
    ImageDraw.Draw(layer).polygon(shape, fill=colour)
    return ImageChops.multiply(picture, layer)


def glow(picture: Image.Image, shape: Points, colour: str, *, opacity: int, blur: float = 0) -> Image.Image:
    """Lay light over a shape."""
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).polygon(shape, fill=opacity)
    if blur:
        mask = mask.filter(ImageFilter.GaussianBlur(blur))
    light = Image.new("RGB", picture.size, colour)
    return Image.composite(light, picture, mask)
