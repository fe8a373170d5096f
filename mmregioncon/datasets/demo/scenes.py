"""One demo scene: a background, several objects and some clutter in a common light."""

from dataclasses import dataclass

import cv2
import numpy as np

from . import textures as tx
from .objects import CLASSES, CLUTTER

WIDTHS, HEIGHTS = (160, 176, 192), (128, 144, 160)
ROOMS = 6  # fixed cameras: an image is told from others by its objects, not by its background
MIN_VISIBLE = 0.4  # no object is hidden or cut off beyond this fraction of its area
CLUTTER_LABEL = -1


@dataclass
class Scene:
    """A picture and its boxes.

    Attributes:
        image: uint8 ``(H, W, 3)``, BGR.
        boxes: float32 ``(N, 4)``, xyxy, edges of what is visible, image pixels.
        labels: int64 ``(N,)``, indices into ``CLASSES``.
        areas: int64 ``(N,)``, visible pixels.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    areas: np.ndarray


def render_scene(rng, min_objects=2, max_objects=5):
    """Draw one :class:`Scene` from ``rng``, with at least ``min_objects`` objects."""
    while True:
        canvas = _Canvas(rng)
        wanted = rng.integers(min_objects, max_objects + 1)
        labels = list(rng.integers(len(CLASSES), size=wanted))
        labels += [CLUTTER_LABEL] * rng.integers(0, 4)
        # The further down an object stands, the nearer it is: paint it later.
        feet = np.sort(rng.uniform(canvas.horizon + 0.12, 1.1, len(labels)))
        for label, foot in zip(rng.permutation(labels), feet):
            canvas.place(label, foot)
        scene = canvas.finish()
        if len(scene.labels) >= min_objects:
            return scene


def _floor(rng, height, width):
    """A floor in perspective: its texture shrinks towards the top."""
    flat = tx.FLOORS[rng.integers(len(tx.FLOORS))](rng, 160, 192).astype(np.float32)
    inset = rng.uniform(0.15, 0.38) * 192
    corners = np.float32([[inset, 0], [192 - inset, 0], [192, 160], [0, 160]])
    target = np.float32([[0, 0], [width, 0], [width, height], [0, height]])
    matrix = cv2.getPerspectiveTransform(corners, target)
    return cv2.warpPerspective(flat, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)


def _background(rng, height, width):
    """The picture without objects and the horizon as a fraction of the height."""
    if rng.random() < 0.35:  # looking down on the floor
        return tx.FLOORS[rng.integers(len(tx.FLOORS))](rng, height, width), 0.15
    horizon = rng.uniform(0.2, 0.55)
    row = int(horizon * height)
    wall = tx.WALLS[rng.integers(len(tx.WALLS))](rng, height, width)[:row]
    floor = _floor(rng, height - row, width)
    floor[: max(2, height // 30)] *= 0.7
    return np.vstack([wall * rng.uniform(0.6, 1.0), floor]), horizon


class _Canvas:
    """A scene in the making: the picture, and which object each pixel shows."""

    def __init__(self, rng):
        self.rng = rng
        room = np.random.default_rng(rng.integers(ROOMS))
        self.width, self.height = int(room.choice(WIDTHS)), int(room.choice(HEIGHTS))
        image, self.horizon = _background(room, self.height, self.width)
        self.image = image.astype(np.float32) * np.float32(rng.uniform(0.75, 1.15))
        self.owner = np.full((self.height, self.width), -1, np.int32)
        self.labels, self.full_areas = [], []
        self.shadow_shift = rng.uniform(-0.25, 0.25), rng.uniform(0.03, 0.15)
        self.shadow_depth = rng.uniform(0.2, 0.65)

    def place(self, label, foot, tries=8):
        """Paint an object that stands at ``foot`` (fraction of the height), if there is room."""
        rng = self.rng
        maker = CLUTTER[rng.integers(len(CLUTTER))] if label < 0 else [*CLASSES.values()][label]
        depth = 0.55 + 0.65 * (foot - self.horizon) / (1.1 - self.horizon)
        size = np.clip(depth * np.exp(rng.uniform(np.log(50), np.log(120))), 32, 120)
        sprite = _relight(rng, _shrink(maker(rng), size))
        angle = rng.normal(0, 14) if rng.random() < 0.8 else rng.uniform(-75, 75)
        full = (sprite[..., 3] > 0.5).sum()
        for _ in range(tries):
            layer = self._warp(sprite, angle, rng.random(), foot)
            mask = layer[..., 3] > 0.5
            if mask.sum() >= 0.6 * full and self._leaves_others_visible(mask):
                self._paint(layer, size)
                self.owner[mask] = len(self.labels)
                self.labels.append(int(label))
                self.full_areas.append(full)
                return

    def _warp(self, sprite, angle, x, foot):
        """The sprite as a layer ``(H, W, 4)``, colours premultiplied by opacity."""
        h, w = sprite.shape[:2]
        matrix = cv2.getRotationMatrix2D((w / 2, h / 2), angle, 1)
        matrix[:, 2] += x * self.width - w / 2, foot * self.height - h
        return cv2.warpAffine(sprite, matrix, (self.width, self.height))

    def _leaves_others_visible(self, mask):
        visible = np.bincount(self.owner[~mask] + 1, minlength=len(self.labels) + 1)[1:]
        return bool(np.all(visible >= MIN_VISIBLE * np.array(self.full_areas)))

    def _paint(self, layer, size):
        """Composite a layer and its shadow on what is there."""
        dx, dy = self.shadow_shift
        shift = np.float32([[1, 0, dx * size], [0, 1, dy * size]])
        shadow = cv2.warpAffine(layer[..., 3], shift, (self.width, self.height))
        shadow = cv2.GaussianBlur(shadow, (0, 0), 1 + 0.05 * size)
        self.image *= 1 - np.float32(self.shadow_depth) * shadow[..., None]
        self.image = self.image * (1 - layer[..., 3:]) + layer[..., :3]

    def finish(self):
        """Light and photograph the scene, and read the boxes off the visible pixels."""
        rows = [i for i, label in enumerate(self.labels) if label != CLUTTER_LABEL]
        masks = [(self.owner == i).astype(np.uint8) for i in rows]
        boxes = np.float32([cv2.boundingRect(mask) for mask in masks]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return Scene(
            image=_photograph(self.rng, self.image),
            boxes=boxes,
            labels=np.array([self.labels[i] for i in rows], np.int64),
            areas=np.array([mask.sum() for mask in masks], np.int64),
        )


def _shrink(sprite, size):
    """Resize a sprite's long side to ``size``."""
    scale = size / max(sprite.shape[:2])
    return cv2.resize(sprite, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _relight(rng, sprite):
    """Nuisances that no class owns: tint, exposure, contrast, a gradient of light, a mirror.

    Returns the sprite with its colours premultiplied by its opacity.
    """
    colour, alpha = sprite[..., :3], sprite[..., 3:]
    grey = colour.mean(axis=-1, keepdims=True)
    colour = grey + (colour - grey) * np.float32(rng.uniform(0.3, 1.2))
    tint = np.float32(rng.uniform(0.75, 1.25, 3))
    colour = np.clip(colour, 0, 1) ** np.float32(rng.uniform(0.65, 1.5)) * tint
    h, w = sprite.shape[:2]
    ramp = np.linspace(-1, 1, w, dtype=np.float32) * rng.uniform(-0.35, 0.35)
    ramp = ramp + np.linspace(-1, 1, h, dtype=np.float32)[:, None] * rng.uniform(-0.35, 0.35)
    sprite = np.dstack([colour * (1 + ramp[..., None]) * alpha, alpha]).astype(np.float32)
    return sprite[:, ::-1] if rng.random() < 0.5 else sprite


def _photograph(rng, image):
    """Uneven light, a colour cast, blur and sensor noise; uint8."""
    h, w = image.shape[:2]
    light = 1 + rng.uniform(0, 0.8) * (tx.fractal_noise(rng, h, w, 1, 2) - 0.5)
    cast = rng.uniform(0.9, 1.1, 3) * rng.uniform(0.75, 1.2)
    image = image * (light[..., None] * cast).astype(np.float32)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.8))
    image += rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(0.004, 0.022))
    return (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
