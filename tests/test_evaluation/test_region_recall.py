"""Recall of regions against a naive loop and COCO's own evaluation."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmregioncon.evaluation.region_recall import (
    IOU_THRS,
    average_recall,
    best_overlaps,
    size_classes,
)


def random_boxes(rng, num, side=40):
    corners = rng.integers(0, side, (num, 2))
    return np.concatenate([corners, corners + rng.integers(1, side, (num, 2))], axis=1)


def naive_iou(a, b):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    both = width * height
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return both / (sum(areas) - both)


@pytest.mark.parametrize(("num_objects", "num_boxes"), [(1, 1), (4, 7), (3, 30), (2, 0), (0, 5)])
def test_against_a_naive_loop(num_objects, num_boxes):
    rng = np.random.default_rng(num_boxes)
    objects, boxes = random_boxes(rng, num_objects), random_boxes(rng, num_boxes)
    nums = (1, 5, 100)
    best = best_overlaps(objects, boxes, nums)
    assert best.shape == (num_objects, 3)
    for column, num in enumerate(nums):
        wanted = [max((naive_iou(o, b) for b in boxes[:num]), default=0) for o in objects]
        np.testing.assert_allclose(best[:, column], wanted)
        found = [w >= thr for w in wanted for thr in IOU_THRS]
        recall = sum(found) / len(found) if found else np.nan
        np.testing.assert_allclose(average_recall(best)[column], recall)


def test_iou_of_just_the_threshold_counts():
    best = best_overlaps([[0, 0, 2, 1]], [[0, 0, 1, 1]], (1,))
    assert average_recall(best, [0.5]) == 1
    assert average_recall(best).item() == pytest.approx(0.1)


def test_agrees_with_coco_where_objects_lie_apart():
    rng = np.random.default_rng(0)
    objects = np.array([[x, y, x + 60, y + 50] for x in (0, 200, 400) for y in (0, 200)], float)
    boxes = np.concatenate([objects + rng.integers(-9, 10, objects.shape) for _ in range(20)])
    boxes = rng.permutation(boxes)

    def records(xyxy, **more):
        for i, (x1, y1, x2, y2) in enumerate(xyxy):
            box = [x1, y1, x2 - x1, y2 - y1]
            area = dict(area=box[2] * box[3], iscrowd=0, id=i + 1, score=1 - i / 1000)
            yield dict(area, image_id=1, category_id=1, bbox=box, **more)

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = dict(
            images=[dict(id=1, height=500, width=500)],
            categories=[dict(id=1)],
            annotations=list(records(objects)),
        )
        truth.createIndex()
        coco = COCOeval(truth, truth.loadRes(list(records(boxes))), "bbox")
        coco.params.maxDets = [3, 10, 100]
        coco.evaluate()
        coco.accumulate()
    wanted = coco.eval["recall"][:, 0, 0].mean(axis=0)
    assert 0 < wanted[0] < wanted[2] < 1
    np.testing.assert_allclose(average_recall(best_overlaps(objects, boxes, [3, 10, 100])), wanted)


def test_every_object_is_of_one_size():
    masks = size_classes(np.array([0, 0.05, 0.058, 0.1, 0.173, 1]))
    assert {name: mask.sum() for name, mask in masks.items()} == dict(small=2, medium=2, large=2)
    assert (np.sum(list(masks.values()), axis=0) == 1).all()
