"""Reading the image of a region row."""

import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio

from mmregioncon.registry import TRANSFORMS

REDUCED = {
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    1: cv2.IMREAD_COLOR,
}
JPEG, EXIF = b"\xff\xd8", b"Exif\x00"


class BadImageError(OSError):
    """An image that is missing, cannot be decoded, or is not the one its region row means."""


def reduction(content, size, min_side):
    """How much smaller a file may be decoded: libjpeg then skips most of the work.

    Args:
        content: the file's bytes.
        size: height and width of the image in pixels.
        min_side: what the shorter side keeps in pixels, at least.

    Returns:
        int: 8, 4, 2 or 1; always 1 for anything but a JPEG. A pixel of the result is a whole
        block of the image, and the first block starts in the corner.
    """
    if min_side is None or not content.startswith(JPEG):
        return 1
    parts = [part for part in (8, 4, 2) if min(size) // part >= min_side]
    if parts and EXIF in content:  # it may turn the image: a partial last block becomes the first
        parts = [part for part in parts if not np.mod(size, part).any()]
    return parts[0] if parts else 1


@TRANSFORMS.register_module()
class LoadRegionImage(BaseTransform):
    """Read the image and check it against its region row.

    ``img`` is ``(H, W, 3)`` uint8 BGR, EXIF rotation applied. A large JPEG may be decoded at 1/2,
    1/4 or 1/8 of its size; ``affine`` ``(3, 3)`` float64 then maps the original image to ``img``.

    Args:
        min_side: the shorter side keeps so many pixels, if it has them; ``None`` always decodes
            the whole size. With crops of at least a part c of the image's area, aspects from 3/4
            to 4/3 and views of s pixels, no view loses pixels from ``s / sqrt(0.75 * c)`` on.
        backend_args: where files are, as in :class:`mmcv.transforms.LoadImageFromFile`.

    Raises:
        BadImageError: naming the file and what is wrong.
    """

    def __init__(self, min_side=None, backend_args=None):
        self.min_side = min_side
        self.backend_args = backend_args

    def transform(self, results):
        """Add ``img``, ``img_shape``, ``ori_shape`` and ``affine``."""
        path, expected = results["img_path"], (results["height"], results["width"])
        try:
            content = fileio.get(path, backend_args=self.backend_args)
            part = reduction(content, expected, self.min_side)
            img = mmcv.imfrombytes(content, flag=REDUCED[part], backend="cv2")
        except (OSError, ValueError, cv2.error) as error:
            raise BadImageError(f"{path} cannot be read ({error})") from error
        found = None if img is None else img.shape[:2]
        if found != tuple(-(-side // part) for side in expected):
            raise BadImageError(
                f"{path} is {found} (height, width), its region row says {expected}"
                f"{f' and it is read at 1/{part} of that' * (part > 1)}: "
                "the image has changed since its regions were proposed"
            )
        # a last block that is not whole would show more than the image
        results["img"] = img[: expected[0] // part, : expected[1] // part]
        results["img_shape"] = results["img"].shape[:2]
        results["ori_shape"] = expected
        results["affine"] = np.diag([1 / part, 1 / part, 1])
        return results
