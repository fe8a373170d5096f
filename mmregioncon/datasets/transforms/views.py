"""Views of an image, each with the affine map that says where its pixels come from.

Geometric transforms here update ``affine``; boxes stay in the original image's frame until a
view's regions are chosen, and are then mapped once. Photometric transforms (mmcv's,
mmpretrain's) see only ``img`` and know nothing of regions.
"""

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform, Compose
from mmpretrain.datasets.transforms import RandomResizedCrop

from mmregioncon.registry import TRANSFORMS
from mmregioncon.structures import crop_resize_affine, hflip_affine


def crop_and_resize(results, crop, size):
    """Crop first, then resize what is left, and update the affine map.

    Pixels are averaged where the crop shrinks (no aliasing), else bicubic.

    Args:
        results: with ``img`` ``(H, W, 3)`` and ``affine`` ``(3, 3)``.
        crop: ``(x, y, w, h)`` integers in pixels of ``img``.
        size: ``(width, height)`` of the result.

    Returns:
        dict: ``results`` with ``img``, ``img_shape``, ``crop`` and ``affine`` renewed.
    """
    x, y, w, h = crop
    img = results["img"][y : y + h, x : x + w]
    interpolation = "area" if w > size[0] and h > size[1] else "bicubic"
    results["img"] = mmcv.imresize(img, size, interpolation=interpolation)
    results["img_shape"] = results["img"].shape[:2]
    results["crop"] = crop
    results["affine"] = crop_resize_affine(crop, size) @ results["affine"]
    return results


@TRANSFORMS.register_module()
class RegionMultiView(BaseTransform):
    """Make several views of one image, each by a pipeline of its own.

    Adds ``views``: a list of dicts with ``img``, ``img_shape``, ``affine`` (from the original
    image to the view) and ``crop``. A later pipeline finds the earlier ones in ``views``,
    and all find the ``windows`` that were drawn for them, if any.

    Args:
        pipelines: one list of transforms a view.
    """

    def __init__(self, pipelines):
        self.pipelines = [
            Compose([TRANSFORMS.build(step) for step in pipeline]) for pipeline in pipelines
        ]

    def transform(self, results):
        """Add ``views``."""
        views = []
        for pipeline in self.pipelines:
            start = dict(
                img=results["img"],
                affine=np.eye(3),
                views=views,
                windows=results.get("windows", ()),
            )
            view = pipeline(start)
            del view["views"], view["windows"]
            views.append(view)
        results["views"] = views
        return results


@TRANSFORMS.register_module()
class RegionResize(BaseTransform):
    """The whole image, resized to ``size`` whatever its aspect.

    Args:
        size: ``(width, height)`` or one number for both, in pixels.
    """

    def __init__(self, size):
        self.size = (size, size) if isinstance(size, int) else tuple(size)

    def transform(self, results):
        """Renew ``img`` and ``affine``."""
        h, w = results["img"].shape[:2]
        return crop_and_resize(results, (0, 0, w, h), self.size)


@TRANSFORMS.register_module()
class RegionRandomResizedCrop(RandomResizedCrop):
    """mmpretrain's random resized crop (its arguments), with the affine map kept.

    Args:
        crop_of: index of an earlier view whose crop window is used again, so that this view
            shows the same part of the image at its own size; ``None`` draws a new window.
    """

    def __init__(self, *args, crop_of=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.crop_of = crop_of

    def transform(self, results):
        """Renew ``img`` and ``affine``."""
        if self.crop_of is None:
            y, x, h, w = self.rand_crop_params(results["img"])
            crop = (x, y, w, h)
        else:
            crop = results["views"][self.crop_of]["crop"]
        return crop_and_resize(results, crop, tuple(self.scale))


@TRANSFORMS.register_module()
class RegionRandomFlip(BaseTransform):
    """Flip a view horizontally with probability ``prob``."""

    def __init__(self, prob=0.5):
        self.prob = prob

    def transform(self, results):
        """Renew ``img`` and ``affine`` if the coin says so."""
        if np.random.rand() < self.prob:
            results["affine"] = hflip_affine(results["img"].shape[1]) @ results["affine"]
            results["img"] = np.ascontiguousarray(results["img"][:, ::-1])
        return results
