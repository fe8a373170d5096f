"""Region proposers: ``proposer(img, img_path) -> (boxes, scores)``.

``img`` is ``(H, W, 3)`` uint8 BGR, ``img_path`` its path relative to the root. ``boxes`` are
``(K, 4)`` float32 xyxy in the image's pixels, best first, ``scores`` ``(K,)`` float32. The result
depends on nothing but the two arguments and the proposer's parameters, so that it is the same in
any process, order and number of workers.
"""

import ctypes
import zlib

import cv2
import numpy as np
from scipy.ndimage import find_objects

from mmregioncon.registry import REGION_PROPOSERS

from .coco import PathIndex, read_coco


def path_seed(img_path, seed=0):
    """Seed of an image's own random draws."""
    return zlib.crc32(img_path.encode("utf-8"), seed) & 0x7FFFFFFF


def _ximgproc():
    try:
        return cv2.ximgproc.segmentation
    except AttributeError:
        raise ValueError(
            "this OpenCV has no ximgproc: install opencv-contrib-python-headless after all other "
            "OpenCV wheels, as tools/install.sh does"
        ) from None


def _to_xyxy(xywh):
    boxes = np.asarray(xywh, np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


@REGION_PROPOSERS.register_module()
class SelectiveSearch:
    """OpenCV's selective search; scores fall from 1 with the rank.

    Args:
        mode: ``fast`` or ``quality``.
        base_k: scale of the first graph segmentation.
        inc_k: step of that scale.
        sigma: smoothing before the segmentation.
    """

    def __init__(self, mode="fast", base_k=150, inc_k=150, sigma=0.8):
        if mode not in ("fast", "quality"):
            raise ValueError(f"SelectiveSearch mode={mode!r}: choose 'fast' or 'quality'")
        _ximgproc()
        self.mode = mode
        self.options = (int(base_k), int(inc_k), float(sigma))

    def __call__(self, img, img_path):
        """Propose; see the module's docstring."""
        search = _ximgproc().createSelectiveSearchSegmentation()
        search.setBaseImage(img)
        if self.mode == "fast":
            search.switchToSelectiveSearchFast(*self.options)
        else:
            search.switchToSelectiveSearchQuality(*self.options)
        # The set of boxes is fixed, but OpenCV ranks them with the C library's rand(), which
        # cv2.setRNGSeed does not reach.
        ctypes.CDLL(None).srand(path_seed(img_path))
        boxes = _to_xyxy(search.process())
        return boxes, np.linspace(1, 0, len(boxes), endpoint=False, dtype=np.float32)


@REGION_PROPOSERS.register_module()
class FelzenszwalbRegions:
    """Bounding boxes of the segments of Felzenszwalb and Huttenlocher's graph segmentation.

    OpenCV's implementation, several times as fast as scikit-image's. The score of a box is its
    segment's share of the image. The defaults are SoCo's.

    Args:
        scale: larger means larger segments (pixel values 0 to 255).
        sigma: smoothing before the segmentation.
        min_size: smallest segment, in pixels.
    """

    def __init__(self, scale=300, sigma=0.9, min_size=100):
        self.options = (float(sigma), float(scale), int(min_size))
        _ximgproc()

    def labels(self, img):
        """The segment of each pixel, ``(H, W)`` int32 from 0, of a ``(H, W, 3)`` uint8 image."""
        return _ximgproc().createGraphSegmentation(*self.options).processImage(img)

    def __call__(self, img, img_path):
        """Propose; see the module's docstring."""
        labels = self.labels(img)
        boxes = [
            (columns.start, rows.start, columns.stop, rows.stop)
            for rows, columns in find_objects(labels + 1)
        ]
        scores = np.bincount(labels.ravel()) / labels.size
        order = np.argsort(-scores, kind="stable")
        return np.array(boxes, np.float32)[order], scores[order].astype(np.float32)


@REGION_PROPOSERS.register_module()
class GridRegions:
    """The ``n x n`` cells of a regular grid, row by row, all of score 1."""

    def __init__(self, n=4):
        if n < 1:
            raise ValueError(f"GridRegions n={n}: must be at least 1")
        self.n = int(n)

    def __call__(self, img, img_path):
        """Propose; see the module's docstring."""
        height, width = img.shape[:2]
        xs = np.linspace(0, width, self.n + 1)
        ys = np.linspace(0, height, self.n + 1)
        x1, y1 = np.meshgrid(xs[:-1], ys[:-1])
        x2, y2 = np.meshgrid(xs[1:], ys[1:])
        boxes = np.stack([x1, y1, x2, y2], axis=-1).reshape(-1, 4)
        return boxes.astype(np.float32), np.ones(self.n**2, np.float32)


@REGION_PROPOSERS.register_module()
class RandomRegions:
    """Random boxes inside the image, all of score 1, drawn from a seed made of the image's path.

    Args:
        num: boxes an image.
        size_range: bounds of sqrt(w h) / sqrt(W H), drawn uniformly.
        max_aspect: w / h is drawn log-uniformly between ``1 / max_aspect`` and this; a box that
            would be longer than the image is cut to it.
        seed: another seed, other boxes.
    """

    def __init__(self, num=32, size_range=(0.1, 0.8), max_aspect=3.0, seed=0):
        if num < 1 or not 0 < size_range[0] <= size_range[1] <= 1 or max_aspect < 1:
            raise ValueError(
                f"RandomRegions num={num}, size_range={size_range}, max_aspect={max_aspect}: "
                "num must be at least 1, size_range within (0, 1], max_aspect at least 1"
            )
        self.num, self.size_range = int(num), size_range
        self.max_aspect, self.seed = max_aspect, seed

    def __call__(self, img, img_path):
        """Propose; see the module's docstring."""
        height, width = img.shape[:2]
        rng = np.random.default_rng(path_seed(img_path, self.seed))
        size = rng.uniform(*self.size_range, self.num) * np.sqrt(height * width)
        bound = np.log(self.max_aspect) / 2
        stretch = np.exp(rng.uniform(-bound, bound, self.num))
        sizes = np.minimum(np.stack([size * stretch, size / stretch], axis=1), [width, height])
        corners = rng.uniform(size=(self.num, 2)) * ([width, height] - sizes)
        boxes = np.concatenate([corners, corners + sizes], axis=1)
        return boxes.astype(np.float32), np.ones(self.num, np.float32)


@REGION_PROPOSERS.register_module()
class CocoRegions:
    """Boxes read from a COCO JSON: ground truth, a detector's output, SAM's masks' boxes.

    An image is found by its path relative to the root, else by its bare file name if only one
    image of the JSON has it. An image that the JSON does not know has no boxes.

    Args:
        ann_file: COCO JSON, or a list of detections in COCO's result format.
        images_from: for a list of detections: the COCO JSON with its ``images``.
    """

    def __init__(self, ann_file, images_from=None):
        self.ann_file = str(ann_file)
        self.coco = read_coco(ann_file, images_from)
        self.digest = self.coco.digest
        self._index = PathIndex(self.coco.paths)

    def __call__(self, img, img_path):
        """Propose; see the module's docstring.

        Raises:
            ValueError: the JSON gives the image another size, so its boxes are of another frame.
        """
        index = self._index.find(img_path)
        if index is None:
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        row = self.coco.row(index)
        if (row.height, row.width) != img.shape[:2]:
            raise ValueError(
                f"{self.ann_file} has it as {row.width}x{row.height}, but training reads it as "
                f"{img.shape[1]}x{img.shape[0]} (EXIF rotation, or resized)"
            )
        order = np.argsort(-row.scores, kind="stable")
        return row.boxes[order], row.scores[order]
