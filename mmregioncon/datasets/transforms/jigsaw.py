"""Local patches of a view, as PIRL (arXiv 1912.01991) and DetCo (arXiv 2102.04803) cut them."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmregioncon.registry import TRANSFORMS


@TRANSFORMS.register_module()
class JigsawPatches(BaseTransform):
    """Cut a view into a grid of cells and keep a random patch of each, side by side in one strip.

    The strip is an image like any other, so what comes after needs to know nothing of patches;
    :func:`mmregioncon.models.split_patches` takes it apart on the device. It is no map of the
    image any more: ``affine`` becomes NaN, so that nobody places regions on it by mistake.

    Args:
        crop_size: side of the view that comes in, in pixels; a multiple of ``grid``.
        grid: cells along a side.
        patch_size: side of a patch, at most that of a cell.
        shuffle: put the patches in random order, drawn for each image; else row after row.
    """

    def __init__(self, crop_size=255, grid=3, patch_size=64, shuffle=True):
        if grid < 1 or crop_size % grid:
            raise ValueError(
                f"JigsawPatches.crop_size={crop_size} cannot be cut into grid={grid} equal cells: "
                "use a multiple of grid here and in the view's RegionRandomResizedCrop.scale"
            )
        if not 1 <= patch_size <= crop_size // grid:
            raise ValueError(
                f"JigsawPatches.patch_size={patch_size} must be between 1 and the side of a cell, "
                f"crop_size / grid = {crop_size // grid}"
            )
        self.crop_size = crop_size
        self.grid = grid
        self.patch_size = patch_size
        self.shuffle = shuffle

    def transform(self, results):
        """Renew ``img``: ``(patch_size, grid * grid * patch_size, 3)``, dtype as before."""
        img = results["img"]
        if img.shape[:2] != (self.crop_size, self.crop_size):
            raise ValueError(
                f"JigsawPatches.crop_size={self.crop_size} got a view of {img.shape[:2]} (height, "
                "width): give the view's RegionRandomResizedCrop the same scale"
            )
        side = self.patch_size
        results["img"] = np.concatenate(
            [img[y : y + side, x : x + side] for y, x in self._corners()], axis=1
        )
        results["img_shape"] = results["img"].shape[:2]
        results["affine"] = np.full((3, 3), np.nan)
        return results

    def _corners(self):
        """Upper left corners ``(grid * grid, 2)`` of the patches, y and x, in their order."""
        cell = self.crop_size // self.grid
        corners = cell * np.indices((self.grid, self.grid)).reshape(2, -1).T
        corners += np.random.randint(cell - self.patch_size + 1, size=corners.shape)
        return np.random.permutation(corners) if self.shuffle else corners
