"""Pictures for the tests of this folder."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

REPO = Path(__file__).parents[2]


def make_image(seed, height=48, width=64):
    """Some flat rectangles on a flat ground, ``(H, W, 3)`` uint8 BGR."""
    rng = np.random.default_rng(seed)
    img = np.full((height, width, 3), rng.integers(0, 255, 3), np.uint8)
    for _ in range(4):
        x, y = rng.integers(0, width - 8), rng.integers(0, height - 8)
        size = rng.integers(8, 30, 2)
        img[y : y + size[0], x : x + size[1]] = rng.integers(0, 255, 3)
    return img


PICTURE = Image.fromarray(make_image(3, 40, 60))


def encode(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def rotated(kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(PICTURE, kind, exif=exif)


JPEG = encode(PICTURE, "JPEG")
PNG = encode(PICTURE, "PNG")
GREY16 = Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60) * 20)
FRAMES = dict(save_all=True, append_images=[PICTURE.rotate(180)])

GOOD = {
    "colour.jpg": (JPEG, (40, 60)),
    "one.png": (encode(PICTURE.resize((1, 1)), "PNG"), (1, 1)),
    "grey.jpg": (encode(PICTURE.convert("L"), "JPEG"), (40, 60)),
    "cmyk.jpg": (encode(PICTURE.convert("CMYK"), "JPEG"), (40, 60)),
    "palette.png": (encode(PICTURE.convert("P"), "PNG"), (40, 60)),
    "alpha.png": (encode(PICTURE.convert("RGBA"), "PNG"), (40, 60)),
    "grey16.png": (encode(GREY16, "PNG"), (40, 60)),
    "rotated.jpg": (rotated("JPEG"), (60, 40)),
    "moving.webp": (encode(PICTURE, "WEBP", **FRAMES), (40, 60)),
    "wrong_extension.jpg": (PNG, (40, 60)),
}
BAD = {
    "empty.jpg": b"",
    "cut.jpg": JPEG[: len(JPEG) // 2],
    "cut.png": PNG[: len(PNG) // 2],
    "header_only.jpg": JPEG[:20],
    "text.jpg": b"<html>404</html>",
}
