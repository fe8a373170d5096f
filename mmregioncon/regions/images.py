"""Finding images and reading them exactly as training does."""

import os
from pathlib import Path
from typing import NamedTuple

import cv2
import mmcv
from PIL import Image

from .coco import load_json, read_coco_images

# fmt: off
IMAGE_EXTENSIONS = (
    ".bmp", ".dib", ".gif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm",
    ".ppm", ".tif", ".tiff", ".webp",
)
# fmt: on
_EXIF_ORIENTATION = 0x0112


class ImageList(NamedTuple):
    """Images to work on: ``paths`` relative to ``root``, forward slashes, fixed order."""

    root: str
    paths: list


def list_images(source, img_root=None):
    """List the images of a folder (recursively, sorted) or of a COCO JSON (in its order).

    Args:
        source: a folder, of any depth (an ImageNet tree, say; links to folders are followed),
            or a COCO JSON.
        img_root: folder that the JSON's ``file_name`` entries are relative to; by default the
            JSON's own. Not for folders.

    Raises:
        ValueError: ``source`` does not exist or has no images, or none of the first images
            that the JSON names exists.
    """
    source = Path(source)
    if source.is_dir():
        if img_root is not None:
            raise ValueError(f"--img-root {img_root} goes with a COCO JSON; {source} is a folder")
        paths = _walk_images(source)
        if not paths:
            raise ValueError(
                f"{source}: no images in this folder or below it (looked for "
                f"{' '.join(IMAGE_EXTENSIONS)}); give the folder that holds them"
            )
        return ImageList(os.path.abspath(source), paths)
    if not source.is_file():
        raise ValueError(f"{source}: no such folder or COCO JSON")
    return _images_of_json(source, img_root)


def _walk_images(root):
    paths, seen = [], set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back up
            subfolders.clear()
            continue
        seen.add(real)
        subfolders.sort()
        inside = Path(folder).relative_to(root)
        paths += [
            (inside / name).as_posix()
            for name in files
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_EXTENSIONS
        ]
    return sorted(paths)


def _images_of_json(source, img_root):
    names = list(dict.fromkeys(image[1] for image in read_coco_images(load_json(source), source)))
    root = os.path.abspath(source.parent if img_root is None else img_root)
    if not names:
        raise ValueError(f"{source}: its 'images' list is empty; nothing to propose regions for")
    if not any(Path(root, name).is_file() for name in names[:100]):
        raise ValueError(
            f"{source}: none of its first images is in {root}, e.g. {names[0]}; give the folder "
            "of the images with --img-root"
        )
    return ImageList(root, names)


def read_image(file):
    """Decode an image as mmcv's ``LoadImageFromFile`` does by default.

    Returns:
        np.ndarray: ``(H, W, 3)`` uint8 BGR, EXIF orientation applied.

    Raises:
        ValueError: training could not decode it.
        OSError: the file cannot be read.
    """
    content = Path(file).read_bytes()
    if not content:
        raise ValueError("the file is empty")
    try:
        img = mmcv.imfrombytes(content, flag="color", backend="cv2")
    except cv2.error as error:
        raise ValueError(f"OpenCV cannot decode it: {error.err}") from error
    if img is None:
        raise ValueError("OpenCV cannot decode it: cut short, not an image, or an unknown format")
    return img


def image_shape(file):
    """``(height, width)`` as :func:`read_image` would give it, from the header where it is safe."""
    try:
        with Image.open(file) as header:
            if header.getexif().get(_EXIF_ORIENTATION, 1) == 1:
                return header.height, header.width
    except Exception:  # Pillow raises many kinds; the decoder below has the last word
        pass
    return read_image(file).shape[:2]


def reduce_image(img, long_side):
    """Reduce ``(H, W, 3)`` uint8 to a long side; a picture that is no larger stays as it is."""
    height, width = img.shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return img
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(img, size, interpolation=cv2.INTER_AREA)
