"""Regions from COCO JSON and back (CCOP and AlignDet exchange their boxes this way)."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .atomic import atomic_path
from .store import RegionRow, write_store


@dataclass
class CocoBoxes:
    """All boxes of a COCO JSON, flat.

    Attributes:
        paths: ``file_name`` of each image, in the JSON's order.
        shapes: ``(B, 2)`` int64, height and width.
        boxes: ``(N, 4)`` float32 xyxy, grouped by image, clipped to it.
        scores: ``(N,)`` float32; 1 where the JSON has none.
        offsets: ``(B + 1,)`` int64; image ``b`` owns ``boxes[offsets[b]:offsets[b + 1]]``.
        counts: what was dropped or changed: ``clipped``, ``degenerate`` (no area, within the
            image or at all), ``crowd``, ``unknown_image``.
        digest: SHA-256 of the JSON.
    """

    paths: list
    shapes: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    offsets: np.ndarray
    counts: dict
    digest: str

    def row(self, index):
        """Image ``index`` as a :class:`RegionRow`."""
        owned = slice(self.offsets[index], self.offsets[index + 1])
        height, width = map(int, self.shapes[index])
        return RegionRow(self.paths[index], height, width, self.boxes[owned], self.scores[owned])


class PathIndex:
    """Finds an image by its relative path, else by its bare file name if only one has it."""

    def __init__(self, paths):
        self._rows = {path: i for i, path in enumerate(paths)}
        self._by_name = {}
        for i, path in enumerate(paths):
            name = path.rsplit("/", 1)[-1]
            self._by_name[name] = None if name in self._by_name else i

    def find(self, path):
        """Number of the image, or ``None``."""
        return self._rows.get(path, self._by_name.get(path.rsplit("/", 1)[-1]))


def load_json(path):
    """Parse a JSON file.

    Raises:
        ValueError: the file is missing or not JSON.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: not JSON, or cut short ({error})") from error


def read_coco_images(content, path):
    """``(id, file_name, height, width)`` of the ``images``; sizes ``None`` where not given.

    Raises:
        ValueError: no ``images``, or one without ``id`` or ``file_name``, or two of one id.
    """
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise ValueError(
            f"{path}: no 'images' list; wanted a COCO JSON with 'images' and 'annotations'"
        )
    images = []
    for number, image in enumerate(content["images"]):
        if not isinstance(image, dict) or not {"id", "file_name"} <= set(image):
            raise ValueError(f"{path}: images[{number}] needs 'id' and 'file_name'")
        images.append((image["id"], image["file_name"], image.get("height"), image.get("width")))
    if len({image[0] for image in images}) < len(images):
        raise ValueError(f"{path}: two images have the same 'id'; ids must be unique")
    return images


def read_coco(path, images_from=None):
    """Read and check the boxes of a COCO JSON.

    Boxes that reach outside their image are clipped, those without area are dropped, crowds
    too; all are counted. What cannot be understood is an error.

    Args:
        path: COCO JSON, or a list of detections (COCO's result format).
        images_from: COCO JSON whose ``images`` a list of detections refers to.

    Raises:
        ValueError: a key is missing or of a wrong kind, or no box belongs to the images.
    """
    content = load_json(path)
    if isinstance(content, list):
        if images_from is None:
            raise ValueError(
                f"{path}: a list of detections has no image sizes; give the COCO JSON with its "
                "'images' too (convert_regions.py: --images-from; generate_regions.py: that "
                "JSON as input)"
            )
        annotations, content, path_of_images = content, load_json(images_from), images_from
    else:
        annotations, path_of_images = None, path
    ids, paths, shapes = _checked_images(content, path_of_images)
    if annotations is None:
        annotations = content.get("annotations")
        if not isinstance(annotations, list):
            raise ValueError(f"{path}: no 'annotations' list; wanted a COCO JSON")
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    owners, xywh, scores, counts = _checked_annotations(annotations, ids, path)
    return _group(paths, shapes, owners, xywh, scores, counts, digest)


def _checked_images(content, path):
    images = read_coco_images(content, path)
    for _, name, height, width in images:
        if not all(isinstance(side, int) and side > 0 for side in (height, width)):
            raise ValueError(
                f"{path}: image {name!r} needs 'height' and 'width' above 0, has {height}, {width}"
            )
    ids, paths, heights, widths = zip(*images) if images else ((), (), (), ())
    shapes = np.array([heights, widths], np.int64).T
    return {image_id: i for i, image_id in enumerate(ids)}, list(paths), shapes


def _checked_annotations(annotations, ids, path):
    """Owners ``(N,)``, boxes ``(N, 4)`` xywh and scores ``(N,)`` of the usable annotations."""
    counts = dict(crowd=0, unknown_image=0)
    owners, boxes, scores = [], [], []
    for number, annotation in enumerate(annotations):
        name = f"{path}: annotations[{number}]"
        if not isinstance(annotation, dict) or not {"image_id", "bbox"} <= set(annotation):
            raise ValueError(f"{name} needs 'image_id' and 'bbox'")
        if annotation.get("iscrowd"):
            counts["crowd"] += 1
            continue
        if annotation["image_id"] not in ids:
            counts["unknown_image"] += 1
            continue
        box = annotation["bbox"]
        if not isinstance(box, list) or len(box) != 4:
            raise ValueError(f"{name}: 'bbox' must be [x, y, width, height], is {box!r}")
        owners.append(ids[annotation["image_id"]])
        boxes.append(box)
        scores.append(annotation.get("score", 1.0))
    if counts["unknown_image"] and not owners:
        raise ValueError(
            f"{path}: no annotation belongs to the images (e.g. image_id "
            f"{annotations[0]['image_id']!r}); these are the boxes of other images"
        )
    try:
        xywh = np.array(boxes, np.float64).reshape(-1, 4)
        scores = np.array(scores, np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: a 'bbox' or 'score' is not a number ({error})") from error
    return np.array(owners, np.int64), xywh, scores, counts


def _group(paths, shapes, owners, xywh, scores, counts, digest):
    boxes, usable, clipped = clip_xywh(xywh, shapes[owners])
    counts = dict(counts, clipped=int(clipped.sum()), degenerate=int((~usable).sum()))
    scores = np.nan_to_num(scores)
    order = np.argsort(owners, kind="stable")
    order = order[usable[order]]
    offsets = np.searchsorted(owners[order], np.arange(len(paths) + 1))
    return CocoBoxes(paths, shapes, boxes[order], scores[order], offsets, counts, digest)


def clip_xywh(xywh, shapes):
    """Turn boxes into xyxy within their images.

    Args:
        xywh: ``(N, 4)`` float64.
        shapes: ``(N, 2)`` or ``(2,)``, height and width of each box's image.

    Returns:
        tuple: boxes ``(N, 4)`` float32 xyxy; a mask of those with an area; a mask of those
        among them that had to be clipped.
    """
    boxes = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    sides = np.broadcast_to(np.asarray(shapes)[..., ::-1], (len(boxes), 2))
    inside = np.clip(boxes, 0, np.tile(sides, 2)).astype(np.float32)
    usable = np.isfinite(xywh).all(1) & (inside[:, 2:] > inside[:, :2]).all(1)
    # Half a pixel of slack: exporters round.
    clipped = usable & (np.abs(boxes - inside) > 0.5).any(1)
    return inside, usable, clipped


def import_coco(path, out, img_root=None, images_from=None):
    """Write a region file from a COCO JSON, a row for each of its images.

    Args:
        path: COCO JSON, or a list of detections.
        out: the region file.
        img_root: folder of the images; by default the JSON's.
        images_from: COCO JSON whose ``images`` a list of detections refers to.

    Returns:
        dict: ``images``, ``boxes`` and what :class:`CocoBoxes` counts.
    """
    coco = read_coco(path, images_from)
    root = os.path.abspath(Path(path).parent if img_root is None else img_root)
    metadata = dict(root=root, proposer=dict(type="coco", ann_file=str(path)), digest=coco.digest)
    count = write_store(out, map(coco.row, range(len(coco.paths))), metadata)
    return dict(images=count, boxes=len(coco.boxes), **coco.counts)


def export_coco(store, out):
    """Write a store as a COCO JSON of one category, scores included; a row at a time.

    Args:
        store: :class:`RegionStore`.
        out: the JSON.

    Returns:
        dict: ``images`` and ``boxes``.
    """
    number = 0
    with atomic_path(out) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write('{"categories": [{"id": 1, "name": "region"}],\n"images": [')
        for i, row in enumerate(store):
            image = dict(id=i + 1, file_name=row.img_path, height=row.height, width=row.width)
            file.write((",\n" if i else "\n") + json.dumps(image))
        file.write('],\n"annotations": [')
        for i, row in enumerate(store):
            for annotation in _annotations(row, i + 1, number + 1):
                file.write((",\n" if number else "\n") + json.dumps(annotation))
                number += 1
        file.write("]}\n")
    return dict(images=len(store), boxes=number)


def _annotations(row, image_id, first_id):
    boxes = row.boxes.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    for offset, (box, score) in enumerate(zip(boxes.tolist(), row.scores.tolist())):
        yield dict(
            id=first_id + offset,
            image_id=image_id,
            category_id=1,
            bbox=box,
            area=box[2] * box[3],
            score=score,
            iscrowd=0,
        )
