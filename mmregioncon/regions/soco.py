"""Import of the region JSON that SoCo's tools write."""

from pathlib import PurePosixPath

import numpy as np

from .coco import clip_xywh, load_json
from .images import image_shape, list_images
from .store import RegionRow, write_store


def import_soco(path, img_root, out):
    """Write a region file from SoCo's JSON.

    SoCo's JSON is ``{"n01440764_10026": [[x, y, w, h], ...], ...}``: a name without folder and
    extension for each image. Full file names and paths relative to ``img_root`` are understood
    too. The JSON has no image sizes: they are read from the images' headers, and boxes are
    clipped to them. An image without boxes gets the whole image, as in SoCo's filter.

    Args:
        path: SoCo's JSON.
        img_root: folder of the images, of any depth.
        out: the region file.

    Returns:
        dict: ``images``, ``boxes``, ``clipped``, ``degenerate``, and ``failures``, a list of
        ``(name, reason)`` of the entries left out.

    Raises:
        ValueError: not SoCo's format, or no entry belongs to the images.
    """
    content = load_json(path)
    if not isinstance(content, dict) or not all(isinstance(v, list) for v in content.values()):
        raise ValueError(f"{path}: wanted SoCo's {{image name: [[x, y, w, h], ...]}}")
    images = list_images(img_root)
    reader = _Reader(path, content, images)
    metadata = dict(root=images.root, proposer=dict(type="soco_json", ann_file=str(path)))
    reader.check_any()
    reader.summary["images"] = write_store(out, reader.rows(), metadata)
    return reader.summary


class _Reader:
    """Turns entries into rows and keeps count."""

    def __init__(self, path, content, images):
        self.path, self.content, self.images = path, content, images
        self.summary = dict(images=0, boxes=0, clipped=0, degenerate=0, failures=[])
        self.files = {}
        for image in images.paths:
            name = PurePosixPath(image)
            for key in {image, name.name, name.stem}:
                self.files[key] = None if key in self.files else image

    def check_any(self):
        if not any(self.files.get(name) for name in self.content):
            raise ValueError(
                f"{self.path}: none of its {len(self.content)} names is an image below "
                f"{self.images.root}; give the folder of its images"
            )

    def rows(self):
        for name, xywh in self.content.items():
            try:
                yield self._row(name, xywh)
            except (ValueError, TypeError, OSError) as error:
                self.summary["failures"].append((name, str(error)))

    def _row(self, name, xywh):
        image = self.files.get(name)
        if image is None:
            found = "more than one image" if name in self.files else "no image"
            raise ValueError(f"{found} of this name below {self.images.root}")
        shape = image_shape(f"{self.images.root}/{image}")
        boxes, usable, clipped = clip_xywh(np.array(xywh, np.float64).reshape(-1, 4), shape)
        boxes = boxes[usable]
        self.summary["clipped"] += int(clipped.sum())
        self.summary["degenerate"] += int((~usable).sum())
        if len(boxes) == 0:
            boxes = np.array([[0, 0, shape[1], shape[0]]], np.float32)
        self.summary["boxes"] += len(boxes)
        return RegionRow(image, *shape, boxes, np.ones(len(boxes), np.float32))
