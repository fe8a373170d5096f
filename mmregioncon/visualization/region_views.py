"""Drawing views and their regions."""

import cv2
import numpy as np

PALETTE = [
    (75, 25, 230), (75, 180, 60), (25, 225, 255), (200, 130, 0), (48, 130, 245), (180, 30, 145),
    (240, 240, 70), (230, 50, 240), (60, 245, 210), (190, 190, 250), (128, 128, 0), (40, 110, 170),
]  # fmt: skip


def draw_boxes(img, boxes, ids):
    """Draw boxes, the colour by id.

    Args:
        img: ``(H, W, 3)`` uint8 BGR.
        boxes: ``(K, 4)`` xyxy in pixels of ``img``.
        ids: ``(K,)`` integers; negative ones are not drawn.

    Returns:
        np.ndarray: a copy of ``img`` with boxes and ids.
    """
    img = np.ascontiguousarray(img).copy()
    for (x1, y1, x2, y2), region_id in zip(np.rint(boxes).astype(int).tolist(), ids.tolist()):
        if region_id < 0:
            continue
        colour = PALETTE[region_id % len(PALETTE)]
        cv2.rectangle(img, (x1, y1), (x2 - 1, y2 - 1), colour, 2)
        cv2.putText(img, str(region_id), (x1 + 3, y1 + 14), 0, 0.45, colour, 1, cv2.LINE_AA)
    return img


def draw_points(img, points, ids):
    """Draw points, the colour by region.

    Args:
        img: ``(H, W, 3)`` uint8 BGR.
        points: ``(P, N, 2)`` xy in pixels of ``img``.
        ids: ``(P,)`` integers; points of negative ones are not drawn.

    Returns:
        np.ndarray: a copy of ``img`` with the points.
    """
    img = np.ascontiguousarray(img).copy()
    for region, region_id in zip(np.floor(points).astype(int).tolist(), ids.tolist()):
        for point in region if region_id >= 0 else ():
            cv2.circle(img, point, 2, PALETTE[region_id % len(PALETTE)], -1, cv2.LINE_AA)
    return img


def draw_views(views, sample):
    """One row: the views of an image side by side, with their regions, or the points of these.

    Args:
        views: V ``(3, H, W)`` uint8 BGR arrays; smaller views are padded below.
        sample: their :class:`RegionDataSample`.

    Returns:
        np.ndarray: ``(max H, sum of W, 3)`` uint8 BGR.
    """
    height = max(view.shape[1] for view in views)
    tiles = []
    for view, regions in zip(views, sample.views):
        tile = view.transpose(1, 2, 0)
        if "points" in regions:
            tile = draw_points(tile, regions.points, regions.ids)
        else:
            tile = draw_boxes(tile, regions.boxes, regions.ids)
        tiles.append(np.pad(tile, ((0, height - tile.shape[0]), (0, 4), (0, 0))))
    return np.concatenate(tiles, axis=1)
