"""Write the demo data set to disk: the same seed gives the same bytes."""

import json
import os
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from mmregioncon.utils.opencv import one_opencv_thread, pin_opencv

from .objects import CLASSES
from .scenes import render_scene

VERSION = 2  # raise it when the pictures change, so that old data are made anew
MANIFEST = "demo_data.json"
SPLITS = ("unlabelled", "train", "val")


def make_demo_data(root, seed=0, num_unlabelled=800, num_train=60, num_val=150, workers=None):
    """Make ``root/{unlabelled,train,val}/*.jpg`` and ``root/annotations/instances_*.json``.

    All is drawn into a folder beside ``root`` that takes its place at the end, so ``root`` is
    never half made. Data of the same parameters are kept as they are; data of others are
    replaced, with whatever was derived from them inside ``root``.

    Args:
        root: Folder of the data set.
        seed: Each picture is drawn from (seed, split, index) alone.
        num_unlabelled: Pictures without boxes.
        num_train: Pictures with boxes to fine-tune on.
        num_val: Pictures with boxes to evaluate on.
        workers: Processes; by default one a core.

    Returns:
        Whether the data were made (False: they were there).
    """
    root = Path(root)
    counts = dict(zip(SPLITS, (num_unlabelled, num_train, num_val)))
    for split, count in counts.items():
        if count < 1:
            raise ValueError(f"num_{split}={count}: each part needs at least one picture")
    manifest = dict(version=VERSION, seed=seed, pictures=counts)
    if _read_manifest(root) == manifest:
        return False
    root.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        made = scratch / "made"
        _draw_splits(made, seed, counts, workers or len(os.sched_getaffinity(0)))
        (made / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        if root.exists():
            root.rename(scratch / "old")
        made.rename(root)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return True


def _read_manifest(root):
    """The parameters of the data at ``root``, or None; refuses a folder that is not ours."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return None
    try:
        return json.loads((root / MANIFEST).read_text())
    except (OSError, ValueError):
        raise ValueError(
            f"{root} exists and is not a demo data set (no readable {MANIFEST} in it): "
            "choose another folder, or remove it"
        ) from None


def _draw_splits(folder, seed, counts, workers):
    (folder / "annotations").mkdir(parents=True)
    with one_opencv_thread(), ProcessPoolExecutor(workers, initializer=pin_opencv) as pool:
        for number, (split, count) in enumerate(counts.items()):
            (folder / split).mkdir()
            draw = partial(_draw_picture, folder / split, (seed, number))
            records = list(pool.map(draw, range(count), chunksize=8))
            if split != "unlabelled":
                text = json.dumps(_to_coco(records))
                (folder / "annotations" / f"instances_{split}.json").write_text(text)


def _draw_picture(folder, key, index):
    """Draw and save one picture; returns its file name, size, boxes, labels and areas."""
    scene = render_scene(np.random.default_rng([*key, index]))
    name = f"{index:06d}.jpg"
    _, data = cv2.imencode(".jpg", scene.image, [cv2.IMWRITE_JPEG_QUALITY, 92])
    (folder / name).write_bytes(data.tobytes())
    objects = list(zip(scene.boxes.tolist(), scene.labels.tolist(), scene.areas.tolist()))
    return name, scene.image.shape[:2], objects


def _to_coco(records):
    images, annotations = [], []
    for image_id, (name, (height, width), objects) in enumerate(records, start=1):
        images.append(dict(id=image_id, file_name=name, height=height, width=width))
        for (x0, y0, x1, y1), label, area in objects:
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=label + 1,
                    bbox=[x0, y0, x1 - x0, y1 - y0],
                    area=area,
                    iscrowd=0,
                )
            )
    categories = [dict(id=i, name=name) for i, name in enumerate(CLASSES, start=1)]
    info = dict(description="MMRegionCon demo scenes")
    return dict(info=info, images=images, annotations=annotations, categories=categories)
