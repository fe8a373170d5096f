"""Label maps of an image, and points drawn from their regions in two views (PLRC, section 3)."""

import json
from abc import abstractmethod

import numpy as np
from mmcv.transforms import BaseTransform
from pycocotools import mask as coco_mask

from mmregioncon.regions import ReducedSegments, decode_labels
from mmregioncon.regions.coco import load_json, read_coco_images
from mmregioncon.registry import TRANSFORMS
from mmregioncon.structures import map_points

from .loading import BadImageError

# Candidates a side of the view. A region that covers less than about 1/64 x 1/64 of a view may be
# missed there.
LATTICE = 64


class RegionLabels(BaseTransform):
    """Add ``label_map``: ``(h, w)`` int32, the region each part of the original image lies in.

    The map covers the whole image at any resolution; negative labels are no region.
    """

    def transform(self, results):
        """Add ``label_map``."""
        results["label_map"] = self.label_map(results)
        return results

    @abstractmethod
    def label_map(self, results):
        """The map of the image in ``results``."""


@TRANSFORMS.register_module()
class GridLabels(RegionLabels):
    """The ``grid x grid`` cells of a regular grid, row by row (the paper's regions).

    Args:
        grid: cells a side.
    """

    def __init__(self, grid=4):
        if grid < 2:
            raise ValueError(
                f"GridLabels.grid={grid} must be at least 2: one region has nothing to be "
                "contrasted with"
            )
        self.labels = np.arange(grid * grid, dtype=np.int32).reshape(grid, grid)

    def label_map(self, results):
        """One element a cell: the map has no need of pixels."""
        return self.labels


@TRANSFORMS.register_module()
class FelzenszwalbLabels(RegionLabels):
    """Segments of Felzenszwalb and Huttenlocher's graph segmentation of the reduced image.

    Those of the region file if it has them (``tools/generate_regions.py --segments``), whatever
    they were made with; otherwise they are computed here.

    Args:
        kwargs: those of :class:`ReducedSegments`.
    """

    def __init__(self, **kwargs):
        self.segments = ReducedSegments(**kwargs)

    def label_map(self, results):
        """Unpack ``segments``, or segment ``img``."""
        if results.get("segments") is None:
            return self.segments(results["img"])
        try:
            return decode_labels(results["segments"])
        except ValueError as error:
            raise BadImageError(f"segments of {results['img_path']}: {error}") from error


@TRANSFORMS.register_module()
class MaskLabels(RegionLabels):
    """Instance masks of a COCO JSON; where several overlap, the smallest is the region.

    An image is found by the end of its path (``file_name`` of the JSON).

    Args:
        ann_file: COCO JSON with masks: polygons or run lengths.

    Raises:
        ValueError: the file is missing or damaged, two of its images have one name, or it has no
            mask.
    """

    def __init__(self, ann_file):
        content = load_json(ann_file)
        images = read_coco_images(content, ann_file)
        self.ann_file = ann_file
        self._rows = {name: row for row, (_, name, _, _) in enumerate(images)}
        if len(self._rows) < len(images):
            raise ValueError(f"MaskLabels.ann_file={ann_file}: two images have one 'file_name'")
        masks = {number: [] for number, _, _, _ in images}
        for annotation in content.get("annotations", ()):
            if annotation.get("segmentation") and not annotation.get("iscrowd"):
                masks.setdefault(annotation.get("image_id"), []).append(annotation["segmentation"])
        # One buffer instead of millions of numbers, which each worker would come to copy
        packed = [json.dumps(masks[number]).encode() for number, _, _, _ in images]
        self._packed = b"".join(packed)
        self._offsets = np.cumsum([0] + [len(one) for one in packed])
        if not any(masks.values()):
            raise ValueError(
                f"MaskLabels.ann_file={ann_file}: no annotation has a 'segmentation'; take a JSON "
                "with instance masks, or GridLabels or FelzenszwalbLabels instead"
            )

    def label_map(self, results):
        """Paint the masks, the largest first.

        Raises:
            BadImageError: the JSON does not list the image, or has masks of another size.
        """
        height, width, path = results["height"], results["width"], results["img_path"]
        masks = [_run_length(mask, height, width) for mask in self._masks_of(path)]
        if any(mask["size"] != [height, width] for mask in masks):
            raise BadImageError(
                f"{path} is {(height, width)} (height, width), a mask of it in "
                f"MaskLabels.ann_file={self.ann_file} is not"
            )
        masks.sort(key=coco_mask.area, reverse=True)
        labels = np.full((height, width), -1, np.int32)
        for label, mask in enumerate(masks):
            labels[coco_mask.decode(mask).astype(bool)] = label
        return labels

    def _masks_of(self, path):
        parts = str(path).replace("\\", "/").split("/")
        names = ["/".join(parts[start:]) for start in range(len(parts))]
        row = next((self._rows[name] for name in names if name in self._rows), None)
        if row is None:
            raise BadImageError(
                f"{path} is none of the images of MaskLabels.ann_file={self.ann_file}: its "
                "'file_name' must be the end of the path. Propose regions "
                "(tools/generate_regions.py) for just the images that the JSON lists"
            )
        return json.loads(self._packed[self._offsets[row] : self._offsets[row + 1]])


def _run_length(mask, height, width):
    """A compressed run length of a COCO segmentation."""
    if isinstance(mask, list):
        return coco_mask.merge(coco_mask.frPyObjects(mask, height, width))
    if isinstance(mask["counts"], list):
        return coco_mask.frPyObjects(mask, height, width)
    return mask


def scatter(size, side=LATTICE):
    """One point somewhere in each cell of a lattice over a view.

    Args:
        size: ``(width, height)`` of the view.
        side: cells a side.

    Returns:
        np.ndarray: ``(side * side, 2)`` float64 xy in view pixels.
    """
    cells = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
    return (cells + np.random.rand(len(cells), 2)) * np.asarray(size) / side


def labels_at(points, label_map, size):
    """The regions that points lie in.

    Args:
        points: ``(K, 2)`` xy in original-image pixels.
        label_map: ``(h, w)`` int32 that covers the image.
        size: ``(width, height)`` of the image.

    Returns:
        np.ndarray: ``(K,)`` int32, -1 outside of the image.
    """
    shape = np.array(label_map.shape[::-1])
    place = np.floor(points * (shape / size)).astype(np.int64)
    inside = ((place >= 0) & (place < shape)).all(axis=1)
    x, y = place.clip(0, shape - 1).T
    return np.where(inside, label_map[y, x], -1)


def pick(labels, wanted, num):
    """Draw members of groups, without replacement until a group is used up.

    Args:
        labels: ``(K,)`` group of each member.
        wanted: ``(P,)`` groups, each with a member at least.
        num: how many of each.

    Returns:
        np.ndarray: ``(P, num)`` indices into ``labels``.
    """
    order = np.random.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    start, stop = (np.searchsorted(labels[order], wanted, side) for side in ("left", "right"))
    return order[start[:, None] + np.arange(num) % (stop - start)[:, None]]


@TRANSFORMS.register_module()
class SampleRegionPoints(BaseTransform):
    """Draw points uniformly from each region in each of two views.

    Adds to both views, in the same order of regions: ``points`` ``(P, N, 2)`` float32 xy in view
    pixels, ``ids`` ``(P,)`` int64 labels of ``label_map``, and ``boxes`` ``(P, 4)`` around the
    points. A region counts if it is visible in both views; fewer than two are none, since they
    leave nothing to contrast. Empty slots have id -1 and points (0, 0).

    Args:
        num_points: N, points a region and view.
        max_regions: P, slots an image; of more regions, these many are drawn.
        matched: draw points of the image that both views show and give each view the same ones,
            in the same order, instead of drawing for each view by itself (for the head's
            ``level='point'``).
    """

    def __init__(self, num_points=16, max_regions=16, matched=False):
        for name, value in dict(num_points=num_points, max_regions=max_regions).items():
            if value < 1:
                raise ValueError(f"SampleRegionPoints.{name}={value} must be at least 1")
        self.num_points = num_points
        self.max_regions = max_regions
        self.matched = matched

    def transform(self, results):
        """Add points and ids to the two ``results['views']``."""
        views = results["views"]
        if len(views) != 2 or "label_map" not in results:
            raise ValueError(
                f"SampleRegionPoints needs two views from RegionMultiView.pipelines, not "
                f"{len(views)}, and a label map from e.g. GridLabels before it"
            )
        candidates = self._candidates(results, views)
        ids = self._common([labels for _, labels in candidates])
        if self.matched:
            picks = [pick(candidates[0][1], ids, self.num_points)] * 2
        else:
            picks = [pick(labels, ids, self.num_points) for _, labels in candidates]
        padding = self.max_regions - len(ids)
        for view, (points, _), chosen in zip(views, candidates, picks):
            points = np.pad(points[chosen].astype(np.float32), ((0, padding), (0, 0), (0, 0)))
            view["points"] = points
            view["ids"] = np.pad(ids.astype(np.int64), (0, padding), constant_values=-1)
            view["boxes"] = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)
        results["matched_points"] = self.matched
        return results

    def _candidates(self, results, views):
        """Of each view, points ``(K, 2)`` in its pixels and their labels ``(K,)``."""
        size = (results["width"], results["height"])
        scattered = [scatter(view["img_shape"][::-1]) for view in views]
        in_image = [map_points(p, np.linalg.inv(v["affine"])) for p, v in zip(scattered, views)]
        labels = [labels_at(points, results["label_map"], size) for points in in_image]
        if not self.matched:
            return list(zip(scattered, labels))
        mapped = map_points(in_image[0], views[1]["affine"])
        shown = ((mapped >= 0) & (mapped <= views[1]["img_shape"][::-1])).all(axis=1)
        seen = np.where(shown, labels[0], -1)
        return [(scattered[0], seen), (mapped, seen)]

    def _common(self, labels):
        """Labels ``(P',)`` of the regions to contrast, ascending."""
        common = np.intersect1d(*labels)
        common = common[common >= 0]
        if len(common) < 2:
            return common[:0]
        if len(common) > self.max_regions:
            common = np.sort(np.random.choice(common, self.max_regions, replace=False))
        return common
