"""View geometry: pure functions on boxes and on the affine map of a view.

Boxes are ``(K, 4)`` float arrays, xyxy, in pixel edges (x right, y down): the pixel in
column 0 spans x from 0 to 1. An affine map is a ``(3, 3)`` float64 array that takes
homogeneous points of the original image to points of the view; it is the only truth about
where a view comes from, so every correspondence between views is computed from it.
"""

import numpy as np


def crop_resize_affine(crop, size):
    """Affine map of cropping a window and resizing it.

    Args:
        crop: window ``(x, y, w, h)`` in pixels of the frame before.
        size: ``(width, height)`` after the resize, in pixels.

    Returns:
        np.ndarray: ``(3, 3)`` float64.
    """
    x, y, w, h = crop
    sx, sy = size[0] / w, size[1] / h
    return np.array([[sx, 0, -x * sx], [0, sy, -y * sy], [0, 0, 1]], dtype=np.float64)


def hflip_affine(width):
    """Affine map ``(3, 3)`` float64 of a horizontal flip of a view ``width`` pixels wide."""
    return np.array([[-1, 0, width], [0, 1, 0], [0, 0, 1]], dtype=np.float64)


def map_points(points, affine):
    """Map points through an affine map.

    Args:
        points: ``(..., 2)`` xy.
        affine: ``(3, 3)``.

    Returns:
        np.ndarray: ``(..., 2)`` xy in the frame after.
    """
    return points @ affine[:2, :2].T + affine[:2, 2]


def map_boxes(boxes, affine):
    """Map boxes through an affine map; the result is the bounding box of the mapped corners.

    Args:
        boxes: ``(K, 4)`` xyxy in the frame before.
        affine: ``(3, 3)``.

    Returns:
        np.ndarray: ``(K, 4)`` xyxy in the frame after, of the dtype of ``boxes``, unclipped.
    """
    corners = boxes[:, [0, 1, 2, 1, 0, 3, 2, 3]].reshape(-1, 4, 2)
    corners = map_points(corners.astype(np.float64), affine)
    mapped = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    return mapped.astype(boxes.dtype)


def clip_boxes(boxes, window):
    """Clip boxes to a window of the same frame.

    Args:
        boxes: ``(K, 4)`` xyxy.
        window: ``(x1, y1, x2, y2)``.

    Returns:
        np.ndarray: ``(K, 4)``; a box outside the window becomes degenerate (zero area).
    """
    window = np.asarray(window)  # np.clip and np.tile take several times as long
    low, high = window[[0, 1, 0, 1]], window[[2, 3, 2, 3]]
    return np.minimum(np.maximum(boxes, low), high).astype(boxes.dtype)


def view_window(affine, size):
    """The part of the original image a view shows.

    Args:
        affine: ``(3, 3)`` map from the original image to the view.
        size: ``(width, height)`` of the view.

    Returns:
        np.ndarray: ``(4,)`` xyxy in original-image pixels.
    """
    view = np.array([[0, 0, size[0], size[1]]], dtype=np.float64)
    return map_boxes(view, np.linalg.inv(affine))[0]


def box_areas(boxes):
    """Areas ``(K,)`` of ``(K, 4)`` xyxy boxes; negative extents count as empty."""
    return np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)


def visible_boxes(boxes, window, min_side=0.0):
    """Which boxes show in a window with both sides longer than ``min_side`` pixels.

    Args:
        boxes: ``(K, 4)`` xyxy.
        window: ``(x1, y1, x2, y2)`` in the same frame.
        min_side: in pixels of that frame.

    Returns:
        np.ndarray: ``(K,)`` bool.
    """
    clipped = clip_boxes(boxes, window)
    return ((clipped[:, 2:] - clipped[:, :2]) > min_side).all(axis=1)


def jitter_boxes(boxes, draws):
    """Move and scale boxes relative to their own size (SoCo, section 3.2).

    Args:
        boxes: ``(K, 4)`` xyxy.
        draws: ``(K, 4)`` relative changes of x, y, w and h; zeros leave a box alone.

    Returns:
        np.ndarray: ``(K, 4)`` xyxy, unclipped, of the dtype of ``boxes``.
    """
    size = boxes[:, 2:] - boxes[:, :2]
    corner = boxes[:, :2] + draws[:, :2] * size
    return np.concatenate([corner, corner + size * (1 + draws[:, 2:])], axis=1).astype(boxes.dtype)
