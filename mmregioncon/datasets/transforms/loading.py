"""Reading the image of a region row."""

import cv2
from mmcv.transforms import LoadImageFromFile

from mmregioncon.registry import TRANSFORMS


class BadImageError(OSError):
    """An image that is missing, cannot be decoded, or is not the one its region row means."""


@TRANSFORMS.register_module()
class LoadRegionImage(LoadImageFromFile):
    """Read the image and check it against its region row.

    Arguments are those of :class:`mmcv.transforms.LoadImageFromFile`; ``img`` is ``(H, W, 3)``
    uint8 BGR, EXIF rotation applied.

    Raises:
        BadImageError: naming the file and what is wrong.
    """

    def transform(self, results):
        """Add ``img``, ``img_shape`` and ``ori_shape``."""
        path, expected = results["img_path"], (results["height"], results["width"])
        try:
            loaded = super().transform(results)
        except (OSError, AssertionError, AttributeError, ValueError, cv2.error) as error:
            # mmcv asserts that cv2 gave an array, which it does not for a damaged file
            raise BadImageError(f"{path} cannot be read ({error})") from error
        if loaded is None or loaded["img"].shape[:2] != expected:
            found = None if loaded is None else loaded["img"].shape[:2]
            raise BadImageError(
                f"{path} is {found} (height, width), its region row says {expected}: "
                "the image has changed since its regions were proposed"
            )
        return loaded
