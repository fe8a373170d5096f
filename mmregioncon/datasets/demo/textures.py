"""Surfaces for the demo scenes: procedural textures and public-domain photographs.

An image here is float32 ``(H, W, 3)``, BGR, values in [0, 1]. Every draw comes from the
generator that the caller passes.
"""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

# The files that scikit-image's wheel carries and declares CC0 or public domain
# (skimage/data/_fetchers.py): nothing is downloaded.
PHOTOS = ("astronaut", "brick", "chelsea", "coffee", "grass", "gravel", "horse")


@lru_cache(maxsize=None)
def photo(name):
    """Read one of :data:`PHOTOS` from the installed scikit-image; do not write to the result."""
    spec = find_spec("skimage")
    file = Path(spec.origin).parent / "data" / f"{name}.png" if spec else None
    if file is None or not file.is_file():
        raise ValueError(
            f"the demo data need the photograph {name!r} of scikit-image, but {file or 'skimage'} "
            "is not there: pip install scikit-image"
        )
    with Image.open(file) as img:  # cv2 would warn of the files' colour profiles
        return np.asarray(img.convert("RGB"), np.float32)[..., ::-1] / 255


def fractal_noise(rng, height, width, cells=3, octaves=5):
    """Sum octaves of smooth noise, scaled to [0, 1].

    Args:
        rng: A ``numpy.random.Generator``.
        height: Rows of the result.
        width: Columns of the result.
        cells: Blobs along a side in the coarsest octave.
        octaves: Number of octaves, each of twice the frequency and 0.6 the weight.

    Returns:
        Float32 ``(height, width)``.
    """
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        side = cells * 2**octave + 1
        grid = rng.random((side, side), dtype=np.float32)
        total += 0.6**octave * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    low, high = total.min(), total.max()
    return (total - low) / max(high - low, 1e-6)


def random_colour(rng, low=0.15, high=0.9, saturation=0.3):
    """A colour ``(3,)`` around a grey; ``saturation`` bounds its distance from the grey."""
    grey = rng.uniform(low, high)
    return np.clip(grey + rng.uniform(-saturation, saturation, 3), 0.03, 1).astype(np.float32)


def blend(weight, colour0, colour1):
    """Mix two colours ``(3,)`` by a map ``(H, W)`` in [0, 1]."""
    weight = weight[..., None]
    return (1 - weight) * colour0 + weight * colour1


def photo_crop(rng, name, height, width, zoom=(0.8, 2.5), box=None):
    """A random crop of a photograph at a random zoom, ``(height, width, 3)``.

    Args:
        rng: A ``numpy.random.Generator``.
        name: One of :data:`PHOTOS`.
        height: Rows of the result.
        width: Columns of the result.
        zoom: Bounds of the number of photograph pixels per result pixel.
        box: Part of the photograph to crop from, xyxy in its pixels.
    """
    img = photo(name)
    if box is not None:
        img = img[box[1] : box[3], box[0] : box[2]]
    scale = min(rng.uniform(*zoom), img.shape[0] / height, img.shape[1] / width)
    h, w = int(height * scale), int(width * scale)
    y, x = rng.integers(img.shape[0] - h + 1), rng.integers(img.shape[1] - w + 1)
    crop = img[y : y + h, x : x + w]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    return cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA)


def grass(rng, height, width):
    """Lawn, from dry to lush."""
    light = photo_crop(rng, "grass", height, width)
    dry = np.float32([0.35, 0.75, 0.8])
    lush = np.float32([0.3, 0.85, 0.4])
    return light * (dry + rng.random() * (lush - dry)) * rng.uniform(0.8, 1.5)


def gravel(rng, height, width):
    """Small stones of a random tint."""
    return photo_crop(rng, "gravel", height, width) * random_colour(rng, 0.7, 1.2, 0.15)


def brickwork(rng, height, width):
    """A brick wall, red to whitewashed."""
    light = photo_crop(rng, "brick", width, height, zoom=(1.0, 2.8)).transpose(1, 0, 2)
    red, white = np.float32([0.5, 0.65, 1.4]), np.float32([1.3, 1.4, 1.5])
    return light * (red + rng.random() * (white - red)) * rng.uniform(0.7, 1.2)


def wood(rng, height, width, planks=None):
    """Planks with a wavy grain along x."""
    planks = planks or rng.integers(2, 6)
    rows = np.linspace(0, planks, height, endpoint=False, dtype=np.float32)
    board = rows.astype(int)
    shift = rng.random(planks).astype(np.float32) * 7
    warp = fractal_noise(rng, height, width, cells=2, octaves=3)
    phase = (rows + shift[board])[:, None] * rng.uniform(6, 14) + warp * rng.uniform(4, 9)
    grain = 0.5 + 0.35 * np.sin(phase) + 0.3 * (fractal_noise(rng, height, width, 12, 3) - 0.5)
    tone = random_colour(rng, 0.45, 0.7, 0.05) * np.float32([0.55, 0.85, 1.2])
    img = blend(grain, tone * 0.65, tone) * rng.uniform(0.85, 1.1, planks)[board][:, None, None]
    img[np.abs(rows - np.round(rows)) < 1.2 * planks / height] *= 0.45
    return img.astype(np.float32)


def table(rng, height, width):
    """The wooden table of the photograph ``coffee``."""
    return photo_crop(rng, "coffee", height, width, (0.6, 1.2), box=(450, 0, 600, 130))


def plaster(rng, height, width):
    """A wall with stains."""
    noise = fractal_noise(rng, height, width, cells=2) ** rng.uniform(0.7, 1.6)
    colour = random_colour(rng, 0.35, 0.85, 0.12)
    return blend(noise, colour, colour * rng.uniform(0.6, 0.9))


def tiles(rng, height, width):
    """Chequered tiles with dirt."""
    side = rng.uniform(0.1, 0.25) * width
    y, x = np.mgrid[:height, :width].astype(np.float32) / side + rng.random(2)[:, None, None]
    checks = ((np.floor(x) + np.floor(y)) % 2).astype(np.float32)
    dirt = fractal_noise(rng, height, width)[..., None]
    return blend(checks, random_colour(rng), random_colour(rng)) * (0.75 + 0.35 * dirt)


def stripes(rng, height, width):
    """A striped cloth with soft folds."""
    y, x = np.mgrid[:height, :width].astype(np.float32) / width
    angle, count = rng.uniform(0, np.pi), rng.uniform(4, 14)
    wave = fractal_noise(rng, height, width, 2, 2)
    phase = (x * np.cos(angle) + y * np.sin(angle)) * count + wave * rng.uniform(0, 1.5)
    bands = cv2.GaussianBlur((phase % 1 > rng.uniform(0.3, 0.7)).astype(np.float32), (3, 3), 0)
    return blend(bands, random_colour(rng), random_colour(rng)) * (0.75 + 0.4 * wave[..., None])


WALLS = (brickwork, plaster, plaster, wood, stripes, tiles)
FLOORS = (grass, gravel, wood, table, tiles, stripes, plaster)
