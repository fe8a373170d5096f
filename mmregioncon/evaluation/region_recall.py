"""Do regions cover objects? Recall of annotated boxes, as pure functions.

An object is found at an IoU threshold if any of the first ``n`` boxes overlaps it so much. COCO's
matching gives a box to one object only, which makes a difference only where two objects overlap
each other as much.
"""

import numpy as np
from pycocotools.mask import iou

IOU_THRS = np.linspace(0.5, 0.95, 10)
NUMS = (10, 50, 100)
# sqrt of an object's share of its image. COCO's limits of 32 and 96 px, at 640x480.
SIZES = dict(small=(0, 0.058), medium=(0.058, 0.173), large=(0.173, np.inf))


def best_overlaps(objects, boxes, nums):
    """Highest IoU of each object with any of the first boxes.

    Args:
        objects: ``(N, 4)`` xyxy.
        boxes: ``(K, 4)`` xyxy of the same frame, best first; ``K`` may be 0.
        nums: ``(M,)`` how many boxes may be used, each at least 1.

    Returns:
        np.ndarray: ``(N, M)`` float64.
    """
    if not len(objects) or not len(boxes):
        return np.zeros((len(objects), len(nums)))
    overlaps = iou(_xywh(objects), _xywh(boxes), np.zeros(len(boxes), np.uint8))
    last = np.minimum(nums, len(boxes)) - 1
    return np.maximum.accumulate(overlaps, axis=1)[:, last]


def _xywh(boxes):
    boxes = np.asarray(boxes, np.float64)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def average_recall(best, iou_thrs=IOU_THRS):
    """Share of objects found, averaged over the thresholds.

    Args:
        best: ``(N, M)`` of :func:`best_overlaps`, of all images.
        iou_thrs: ``(T,)`` thresholds; a box of just that IoU finds the object.

    Returns:
        np.ndarray: ``(M,)`` within 0 to 1; NaN without objects.
    """
    if not len(best):
        return np.full(best.shape[1], np.nan)
    return (best[:, :, None] >= np.asarray(iou_thrs)).mean(axis=(0, 2))


def size_classes(sizes):
    """Masks ``(N,)`` of the objects of each class of :data:`SIZES`, by its name.

    Args:
        sizes: ``(N,)`` sqrt(w h) / sqrt(W H) of each object.
    """
    return {name: (sizes >= low) & (sizes < high) for name, (low, high) in SIZES.items()}
