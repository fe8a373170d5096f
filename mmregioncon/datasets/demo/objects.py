"""The objects of the demo scenes: cut-outs of photographs and procedural solids.

A sprite is float32 ``(h, w, 4)``: BGR in [0, 1] and an opacity, with a long side of about
:data:`SIDE` pixels. The class is told by shape and texture together; tint, light, pose and
background are drawn alike for every class.
"""

from functools import lru_cache

import cv2
import numpy as np

from . import textures as tx

SIDE = 128

# Outlines in the photographs' pixels.
_ASTRONAUT = (
    "155,60 190,25 235,15 280,35 300,85 290,125 272,135 262,165 258,178 290,195 305,235 330,260 "
    "350,300 360,345 310,380 285,430 280,511 25,511 25,400 40,300 75,245 110,210 115,185 135,160 "
    "175,148 185,150 183,130 170,115 155,95"
)
_SHUTTLE = (
    "398,12 405,0 425,0 436,30 437,45 445,38 455,60 455,215 455,232 458,268 470,280 370,282 "
    "375,258 370,232 355,222 360,205 378,180 380,92 381,60 388,40 395,52"
)
_CAT = (
    "55,40 45,0 385,0 365,60 352,95 362,130 355,170 335,205 325,245 300,275 250,285 195,275 "
    "140,245 90,205 50,165 32,110"
)


def _polygon(name, outline):
    """Opacity ``(H, W)`` of an outline (``"x,y x,y ..."``) on a photograph."""
    mask = np.zeros(tx.photo(name).shape[:2], np.uint8)
    points = [tuple(map(int, point.split(","))) for point in outline.split()]
    return cv2.fillPoly(mask, [np.int32(points)], 255)


def _cup_mask():
    mask = np.zeros(tx.photo("coffee").shape[:2], np.uint8)
    cv2.ellipse(mask, (278, 228), (200, 158), 0, 0, 360, 255, -1)
    return cv2.ellipse(mask, (290, 113), (117, 95), 0, 0, 360, 255, -1)


_CUTOUTS = {
    "cat": ("chelsea", lambda: _polygon("chelsea", _CAT)),
    "cup": ("coffee", _cup_mask),
    "astronaut": ("astronaut", lambda: _polygon("astronaut", _ASTRONAUT)),
    "shuttle": ("astronaut", lambda: _polygon("astronaut", _SHUTTLE)),
}


@lru_cache(maxsize=None)
def _cutout(name):
    """The class's photograph, cropped to its outline, as a sprite."""
    source, make_mask = _CUTOUTS[name]
    mask = make_mask()
    x, y, w, h = cv2.boundingRect(mask)
    sprite = np.dstack([tx.photo(source), mask.astype(np.float32) / 255])[y : y + h, x : x + w]
    scale = SIDE / max(w, h)
    return cv2.resize(sprite, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _elastic(rng, sprite, strength=0.05):
    """Bend a sprite smoothly, by up to about ``strength`` of its side."""
    pad = int(strength * SIDE) + 1
    sprite = cv2.copyMakeBorder(sprite, pad, pad, pad, pad, cv2.BORDER_CONSTANT)
    h, w = sprite.shape[:2]
    grid = rng.uniform(-1, 1, (2, 4, 4)).astype(np.float32) * strength * SIDE
    dx, dy = (cv2.resize(g, (w, h), interpolation=cv2.INTER_CUBIC) for g in grid)
    y, x = np.mgrid[:h, :w].astype(np.float32)
    return cv2.remap(sprite, x + dx, y + dy, cv2.INTER_LINEAR)


def _photographed(name):
    def make(rng):
        return _elastic(rng, _cutout(name))

    return make


@lru_cache(maxsize=None)
def _horse_mask():
    mask = 1 - tx.photo("horse")[..., 0]
    x, y, w, h = cv2.boundingRect((mask > 0.5).astype(np.uint8))
    scale = SIDE / max(w, h)
    return cv2.resize(mask[y : y + h, x : x + w], None, fx=scale, fy=scale)


def horse(rng):
    """The silhouette, with a coat of one or two colours and a rounded body."""
    mask = np.clip(_horse_mask(), 0, 1)
    h, w = mask.shape
    patches = tx.fractal_noise(rng, h, w, cells=3, octaves=3)
    patches = np.clip((patches - rng.uniform(0.4, 0.9)) * 12, 0, 1)
    dark = tx.random_colour(rng, 0.1, 0.4, 0.08) * np.float32([0.7, 0.85, 1.2])
    coat = tx.blend(patches, dark, tx.random_colour(rng, 0.6, 0.95, 0.06))
    hair = cv2.resize(rng.random((h, w // 6), dtype=np.float32), (w, h))
    body = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    light = 0.6 + 0.5 * np.minimum(body / 14, 1) + 0.25 * (hair - 0.5)
    return _elastic(rng, np.dstack([coat * light[..., None], mask]).astype(np.float32), 0.03)


def _box(rng, surface):
    """A cuboid seen from above and the side: three faces, each in its own light."""
    w, h = rng.integers(60, 100), rng.integers(50, 95)
    dx, dy = rng.integers(12, 36, 2)
    sprite = np.zeros((h + dy, w + dx, 4), np.float32)
    front, top, side = surface(rng, h, w), surface(rng, dy * 2, w), surface(rng, h, dx * 2)
    side_light, top_light = rng.uniform(0.4, 0.75), rng.uniform(1.0, 1.3)
    faces = (
        (front, [[0, dy], [w, dy], [0, dy + h]], 1.0),
        (top, [[dx, 0], [dx + w, 0], [0, dy]], top_light),
        (side, [[w, dy], [w + dx, 0], [w, dy + h]], side_light),
    )
    for face, corners, light in faces:
        fh, fw = face.shape[:2]
        matrix = cv2.getAffineTransform(np.float32([[0, 0], [fw, 0], [0, fh]]), np.float32(corners))
        rgba = np.dstack([face * light, np.ones((fh, fw), np.float32)]).astype(np.float32)
        warped = cv2.warpAffine(rgba, matrix, (w + dx, h + dy))
        sprite = np.where(warped[..., 3:] > 0.5, warped, sprite)
    sprite[..., 3] = sprite[..., 3] > 0.5
    return sprite[:, ::-1] if rng.random() < 0.5 else sprite


def brick(rng):
    """A block of masonry."""
    return _box(rng, tx.brickwork)


def _crate_face(rng, height, width):
    face = tx.wood(rng, height, width, planks=4)
    rim = max(4, min(height, width) // 8)
    frame = np.ones((height, width), bool)
    frame[rim:-rim, rim:-rim] = False
    face[frame] *= 1.35
    cv2.rectangle(face, (rim, rim), (width - rim - 1, height - rim - 1), (0.08, 0.1, 0.12), 1)
    return face


def crate(rng):
    """A box of planks with a rim on each face."""
    return _box(rng, _crate_face)


def _sphere():
    """Unit normals ``(SIDE, SIDE, 3)`` and the disc's opacity."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) * (2 / (SIDE - 1)) - 1
    square = x**2 + y**2
    normals = np.dstack([x, y, np.sqrt(np.clip(1 - square, 0, 1))])
    return normals, np.clip((1 - np.sqrt(square)) * SIDE / 3, 0, 1)


def _shade(rng, normals, albedo):
    """Light a surface from the upper front, with a highlight."""
    light = np.float32([rng.uniform(-0.6, 0.6), rng.uniform(-0.8, -0.3), 1])
    cosine = np.clip(normals @ (light / np.linalg.norm(light)), 0, 1)[..., None]
    return albedo * (0.35 + 0.75 * cosine) + 0.4 * rng.random() * cosine**24


def ball(rng):
    """A ball of coloured segments around a random axis."""
    normals, alpha = _sphere()
    axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    u, v, w = np.moveaxis(normals @ axes.astype(np.float32), -1, 0)
    segments = np.floor((np.arctan2(u, v) / (2 * np.pi) + 0.5) * 2 * rng.integers(2, 5))
    pattern = (segments % 2 + (w > 0 if rng.random() < 0.4 else 0)) % 2
    pattern = cv2.GaussianBlur(pattern.astype(np.float32), (3, 3), 0)
    albedo = tx.blend(pattern, tx.random_colour(rng, 0.1, 0.5), tx.random_colour(rng, 0.6, 1))
    return np.dstack([_shade(rng, normals, albedo), alpha]).astype(np.float32)


def _stone(rng):
    """Clutter: a lump of rock."""
    normals, _ = _sphere()
    lump = tx.fractal_noise(rng, SIDE, SIDE, 2, 3)
    radius = np.hypot(normals[..., 0], normals[..., 1])
    alpha = np.clip((0.65 + 0.35 * lump - radius) * 20, 0, 1)
    surface = tx.gravel if rng.random() < 0.5 else tx.plaster
    return np.dstack([_shade(rng, normals, surface(rng, SIDE, SIDE)), alpha]).astype(np.float32)


def _parcel(rng):
    """Clutter: a box of any surface that is not a class's."""
    return _box(rng, (tx.plaster, tx.stripes, tx.tiles)[rng.integers(3)])


def _bush(rng):
    """Clutter: a ragged patch of leaves."""
    noise = tx.fractal_noise(rng, SIDE, SIDE, 4, 5)
    radius = np.hypot(*(_sphere()[0][..., :2]).transpose(2, 0, 1))
    alpha = np.clip((0.3 + noise - radius) * 15, 0, 1) * (radius < 1)
    return np.dstack([tx.grass(rng, SIDE, SIDE), alpha]).astype(np.float32)


CLASSES = {
    "cat": _photographed("cat"),
    "cup": _photographed("cup"),
    "astronaut": _photographed("astronaut"),
    "shuttle": _photographed("shuttle"),
    "horse": horse,
    "brick": brick,
    "crate": crate,
    "ball": ball,
}
CLUTTER = (_stone, _parcel, _bush)
