"""``fast_search``: selective search's hierarchical grouping, at a reduced size and vectorised.

Pixels and regions are touched by OpenCV and NumPy alone. All hierarchies of an image grow together,
in some sixty rounds that each merge many pairs, so that one NumPy call serves them all. (With a
heap that gives one pair at a time, the most similar, the recall is the same and the time 1.7 times
as long.)
"""

from typing import NamedTuple

import cv2
import numpy as np
from scipy.ndimage import find_objects

from mmregioncon.registry import REGION_PROPOSERS

from .images import reduce_image
from .proposers import _ximgproc

SPACES = dict(
    bgr=None,
    hsv=cv2.COLOR_BGR2HSV,
    lab=cv2.COLOR_BGR2Lab,
    ycrcb=cv2.COLOR_BGR2YCrCb,
)
CUES = "CTSF"  # colour, texture, size, fill
RANKS = ("agreement", "position")
COLOUR_BINS = 8  # a channel
ORIENTATIONS = 8
GRADIENT_STEPS = (60, 220, 700)  # of a uint8 picture's Scharr magnitude, 0 to about 5800
AGREE_IOU = 0.6  # boxes that overlap more vote for each other
NEAR_IOU = 0.7  # a box that overlaps a better one more is put behind all that do not


@REGION_PROPOSERS.register_module()
class FastSearch:
    """Hierarchical grouping of graph segments (after Uijlings et al., IJCV 2013), made fast.

    The picture is reduced, segmented once for each colour space and scale, and each segmentation
    is merged once for each strategy, the most similar neighbours first. The boxes of all
    regions of all hierarchies are the proposals. Scores fall from 1 with the rank.

    Args:
        long_side: pictures are reduced to this, in pixels, never enlarged.
        spaces: colour spaces, of ``bgr hsv lab ycrcb``.
        scales: ``k`` of the graph segmentation: larger means larger first segments.
        strategies: what makes neighbours similar, a string each: ``C`` colour, ``T`` texture,
            ``S`` small regions first, ``F`` regions that fill their common box.
        sigma: smoothing before the segmentation.
        min_size: smallest segment, in pixels of the reduced picture.
        rank: ``position``: late merges first, long boxes later; ``agreement``: the ``top`` of that
            once more, those that several hierarchies found earlier, near-duplicates last.
        top: so many boxes are kept. More of them find more of the small objects, but a filter that
            draws at random, as CCOP's, then meets more boxes of no use.

    Raises:
        ValueError: a parameter makes no sense, or OpenCV has no ximgproc.
    """

    def __init__(
        self,
        long_side=240,
        spaces=("hsv", "lab", "bgr"),
        scales=(50,),
        strategies=("CTSF", "TSF"),
        sigma=0.8,
        min_size=20,
        rank="agreement",
        top=600,
    ):
        _ximgproc()
        self.long_side = int(long_side)
        self.spaces, self.scales, self.strategies = map(_as_tuple, (spaces, scales, strategies))
        self.sigma, self.min_size, self.rank = float(sigma), int(min_size), rank
        self.top = int(top)
        self._check()

    def _check(self):
        def require(good, name, remedy):
            if not good:
                raise ValueError(f"FastSearch {name}={getattr(self, name)!r}: {remedy}")

        require(self.long_side >= 1, "long_side", "must be at least 1")
        require(
            self.spaces and set(self.spaces) <= set(SPACES),
            "spaces",
            f"choose from {', '.join(SPACES)}",
        )
        require(self.scales and min(self.scales) > 0, "scales", "must be above 0")
        require(
            self.strategies and all(s and set(s) <= set(CUES) for s in self.strategies),
            "strategies",
            f"each a string of the letters {CUES}",
        )
        require(self.sigma > 0, "sigma", "must be above 0")
        require(self.min_size >= 0, "min_size", "must not be negative")
        require(self.top >= 1, "top", "must be at least 1")
        require(self.rank in RANKS, "rank", f"choose from {', '.join(RANKS)}")

    def __call__(self, img, img_path):
        """Propose; see the docstring of :mod:`mmregioncon.regions.proposers`."""
        small = reduce_image(img, self.long_side)
        corners, positions = self._regions(small)
        boxes, positions = _unique(corners, positions)
        values = late_and_square(boxes, positions)
        best = np.argsort(-values, kind="stable")[: self.top]
        if self.rank == "agreement":
            best = best[rank_by_agreement(boxes[best], values[best])]
        boxes = to_full_size(boxes[best], small.shape[:2], img.shape[:2])
        return boxes, np.linspace(1, 0, len(boxes), endpoint=False, dtype=np.float32)

    def _regions(self, small):
        """Boxes ``(K, 4)`` int64 xyxy and positions ``(K,)`` int64 of all hierarchies' regions."""
        texture = texture_bins(small)
        trees = []
        for space in self.spaces:
            converted = small if space == "bgr" else cv2.cvtColor(small, SPACES[space])
            bins = np.concatenate([colour_bins(converted), texture], axis=1)
            for scale in self.scales:
                segmentation = _ximgproc().createGraphSegmentation(
                    self.sigma, float(scale), self.min_size
                )
                segments = measure_segments(segmentation.processImage(converted), bins)
                trees += [(segments, strategy) for strategy in self.strategies]
        return _Forest(trees).grow()


def _as_tuple(value):
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


# ---- the reduced picture


def to_full_size(boxes, small_shape, shape):
    """Map boxes of the reduced picture to the full one.

    Args:
        boxes: ``(K, 4)`` xyxy, reduced pixels.
        small_shape: height and width of the reduced picture.
        shape: height and width of the full one.

    Returns:
        np.ndarray: ``(K, 4)`` float32 xyxy, full pixels; edges on the reduced picture's border
        are exactly on the full one's.
    """
    full, small = (np.array(s[::-1] * 2, np.float64) for s in (tuple(shape), tuple(small_shape)))
    return (boxes * full / small).astype(np.float32)


def colour_bins(img):
    """Bins ``(H * W, 3)`` int32 of each pixel's channels; a channel has bins of its own."""
    return img.reshape(-1, 3) // np.uint8(256 // COLOUR_BINS) + np.arange(
        0, 3 * COLOUR_BINS, COLOUR_BINS, dtype=np.int32
    )


def texture_bins(img):
    """Bins ``(H * W, 1)`` int32 of gradient direction and size, after those of the colours."""
    grey = cv2.cvtColor(img, cv2.COLOR_BGR2GRAY)
    dx, dy = cv2.Scharr(grey, cv2.CV_32F, 1, 0), cv2.Scharr(grey, cv2.CV_32F, 0, 1)
    size, angle = cv2.cartToPolar(dx, dy)
    direction = (angle * (ORIENTATIONS / (2 * np.pi))).astype(np.int32) % ORIENTATIONS
    step = sum((size > edge).astype(np.int32) for edge in GRADIENT_STEPS)
    bins = (direction * (len(GRADIENT_STEPS) + 1) + step).reshape(-1, 1)
    return bins + np.int32(3 * COLOUR_BINS)


class Segments(NamedTuple):
    """A segmentation of a picture of ``shape`` into ``n`` segments.

    ``sizes`` ``(n,)`` in pixels; ``boxes`` ``(n, 4)`` xyxy; ``colour`` ``(n, Bc)`` and ``texture``
    ``(n, Bt)`` histograms of sum 1; ``pairs`` ``(P, 2)`` of adjacent segments, the lower first.
    """

    shape: tuple
    sizes: np.ndarray
    boxes: np.ndarray
    colour: np.ndarray
    texture: np.ndarray
    pairs: np.ndarray


def measure_segments(labels, bins):
    """Measure :class:`Segments`.

    Args:
        labels: ``(H, W)`` int32, the segment of each pixel, from 0, none left out.
        bins: ``(H * W, 4)`` int32, each pixel's three colour bins and texture bin.
    """
    num = int(labels.max()) + 1
    num_colours = 3 * COLOUR_BINS
    num_bins = num_colours + ORIENTATIONS * (len(GRADIENT_STEPS) + 1)
    flat = labels.reshape(-1, 1)
    sizes = np.bincount(flat[:, 0], minlength=num)
    counts = np.bincount((flat * num_bins + bins).ravel(), minlength=num * num_bins)
    shares = (counts.reshape(num, num_bins) / sizes[:, None]).astype(np.float32)
    boxes = [(x.start, y.start, x.stop, y.stop) for y, x in find_objects(labels + 1)]
    return Segments(
        labels.shape,
        sizes,
        np.array(boxes),
        shares[:, :num_colours] / 3,
        shares[:, num_colours:],
        adjacent_pairs(labels, num),
    )


def adjacent_pairs(labels, num):
    """Pairs ``(P, 2)`` int64 of different labels side by side or one above the other, sorted."""
    keys = []
    for one, other in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        differ = one != other
        one, other = one[differ].astype(np.int64), other[differ]
        keys.append(np.minimum(one, other) * num + np.maximum(one, other))
    return np.stack(np.divmod(np.unique(np.concatenate(keys)), num), axis=1)


# ---- grouping


class _Forest:
    """All hierarchies of an image as one graph: regions, and edges between neighbours.

    In each round every pair merges whose two regions are each other's most similar neighbour.
    A pair's similarity does not change while both live, so merging the most similar pair of all,
    one after another, would come to merge it too, unless a region born in between is more similar
    to one of the two.
    """

    def __init__(self, trees):
        nums = [len(segments.sizes) for segments, _ in trees]
        starts = np.cumsum([0, *nums])
        self.born = starts[-1]
        total = 2 * self.born - len(trees)
        self.area = float(np.prod(trees[0][0].shape))
        self.hist = np.empty((total, sum(h.shape[1] for h in trees[0][0][3:5])), np.float32)
        self.share = np.empty(total, np.float32)  # of the picture's area
        self.corners = np.empty((total, 4), np.int32)  # -x1 -y1 x2 y2: a union is a maximum
        self.weights = np.empty((total, 2), np.float32)  # of size and fill, in a pair's cost
        self.tree = np.empty(total, np.int64)
        self.tree[: self.born] = np.repeat(np.arange(len(trees)), nums)
        self.height = np.full(total, -np.inf)  # the highest cost of the merges that made a region
        for start, (segments, strategy) in zip(starts, trees):
            self._plant(slice(start, start + len(segments.sizes)), segments, strategy)
        pairs = [segments.pairs + start for start, (segments, _) in zip(starts, trees)]
        self.older, self.younger = np.concatenate(pairs).T
        self.costs = self._costs(self.older, self.younger)

    def _plant(self, rows, segments, strategy):
        colour, texture, size, fill = (float(cue in strategy) for cue in CUES)
        self.hist[rows] = np.concatenate(
            [segments.colour * colour, segments.texture * texture], axis=1
        )
        self.weights[rows] = size, fill
        self.share[rows] = segments.sizes / self.area
        self.corners[rows] = segments.boxes * [-1, -1, 1, 1]

    def _costs(self, one, other):
        """Negative similarities ``(E,)`` of pairs of regions, up to a constant."""
        common = np.minimum(self.hist[one], self.hist[other]).sum(axis=1)
        share = self.share[one] + self.share[other]
        corners = np.maximum(self.corners[one], self.corners[other])
        box = (corners[:, 0] + corners[:, 2]) * (corners[:, 1] + corners[:, 3]) / self.area
        size, fill = self.weights[one].T
        return size * share + fill * (box - share) - common

    def _mutual(self):
        """Mask ``(E,)`` of the edges that are the best of both their regions."""
        rank = np.empty(len(self.costs), np.int64)
        rank[np.argsort(self.costs, kind="stable")] = np.arange(len(rank))
        best = np.full(self.born, len(rank))
        np.minimum.at(best, self.older, rank)
        np.minimum.at(best, self.younger, rank)
        return (best[self.older] == rank) & (best[self.younger] == rank)

    def _merge(self, one, other, costs):
        """Make the unions of pairs ``(M,)`` of regions; returns their numbers."""
        new = np.arange(self.born, self.born + len(one))
        self.born += len(one)
        share = self.share[one] + self.share[other]
        part = (self.share[one] / share)[:, None]
        self.share[new] = share
        self.hist[new] = self.hist[one] * part + self.hist[other] * (1 - part)
        self.corners[new] = np.maximum(self.corners[one], self.corners[other])
        self.weights[new], self.tree[new] = self.weights[one], self.tree[one]
        self.height[new] = np.maximum.reduce([self.height[one], self.height[other], costs])
        return new

    def _rewire(self, owner):
        """Hand the edges of merged regions to their unions, ``owner[region]``."""
        ends = owner[self.older], owner[self.younger]
        kept = (ends[0] == self.older) & (ends[1] == self.younger)
        one, other = ends[0][~kept], ends[1][~kept]
        keys = np.minimum(one, other) * len(owner) + np.maximum(one, other)
        older, younger = np.divmod(np.unique(keys[one != other]), len(owner))
        self.costs = np.concatenate([self.costs[kept], self._costs(older, younger)])
        self.older = np.concatenate([self.older[kept], older])
        self.younger = np.concatenate([self.younger[kept], younger])

    def grow(self):
        """Merge until each tree is one region.

        Returns:
            tuple: boxes ``(K, 4)`` int64 xyxy of all regions of all trees; their positions
            ``(K,)`` int64, 1 for a tree's root, the higher the lower in its tree.
        """
        owner = np.arange(len(self.share))
        while len(self.costs):
            mutual = self._mutual()
            one, other = self.older[mutual], self.younger[mutual]
            owner[one] = owner[other] = self._merge(one, other, self.costs[mutual])
            self._rewire(owner)
        order = np.lexsort((-np.arange(len(owner)), -self.height, self.tree))
        nums = np.bincount(self.tree)
        positions = np.empty(len(owner), np.int64)
        positions[order] = np.arange(len(owner)) - np.repeat(np.cumsum(nums) - nums, nums) + 1
        return self.corners * np.array([-1, -1, 1, 1]), positions


# ---- ranking


def _unique(boxes, positions):
    """Different boxes, and of each the best position."""
    order = np.lexsort((positions, *boxes.T))
    changes = (np.diff(boxes[order], axis=0) != 0).any(axis=1)
    first = order[np.concatenate([[True], changes])]
    return boxes[first], positions[first]


def late_and_square(boxes, positions):
    """Value ``(K,)`` of boxes: ``1 / (position * sqrt(long side / short side))``."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return 1 / (positions * np.sqrt(sides.max(axis=1) / sides.min(axis=1)))


def rank_by_agreement(boxes, values):
    """Order of boxes: valuable and agreed ones first, near-duplicates last.

    The value of a box is multiplied by its votes, the boxes that overlap it by more than
    ``AGREE_IOU``, itself among them. A box that overlaps a better one by more than ``NEAR_IOU``
    comes after all that do not. The cost grows with the square of ``K``.

    Args:
        boxes: ``(K, 4)`` int64 xyxy, all different.
        values: ``(K,)``, see :func:`late_and_square`.

    Returns:
        np.ndarray: ``(K,)`` int64 indices, best first.
    """
    iou = pairwise_iou(boxes)
    order = np.argsort(-values * (iou > AGREE_IOU).sum(axis=1), kind="stable")
    near = (iou > NEAR_IOU)[order][:, order]
    hidden = np.zeros(len(order), bool)
    for i, row in enumerate(near):
        if not hidden[i]:
            hidden[i + 1 :] |= row[i + 1 :]
    return order[np.argsort(hidden, kind="stable")]


def pairwise_iou(boxes):
    """IoU ``(K, K)`` float32 of boxes ``(K, 4)`` with each other; in place, for speed."""
    x1, y1, x2, y2 = np.ascontiguousarray(boxes.T, np.float32)
    common = np.minimum(x2[:, None], x2)
    common -= np.maximum(x1[:, None], x1)
    heights = np.minimum(y2[:, None], y2)
    heights -= np.maximum(y1[:, None], y1)
    common = np.maximum(common, 0, out=common)
    common *= np.maximum(heights, 0, out=heights)
    areas = (x2 - x1) * (y2 - y1)
    union = np.add(areas[:, None], areas, out=heights)
    union -= common
    common /= union
    return common
