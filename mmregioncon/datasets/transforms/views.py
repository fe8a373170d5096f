"""Views of an image, each with the affine map that says where its pixels come from.

Geometric transforms here update ``affine``; boxes stay in the original image's frame until a
view's regions are chosen, and are then mapped once. Photometric transforms see only ``img``
and know nothing of regions.
"""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import BaseTransform, Compose
from mmpretrain.datasets.transforms import RandomResizedCrop

from mmregioncon.registry import TRANSFORMS
from mmregioncon.structures import Colours, crop_resize_affine, hflip_affine

from .colours import ORDER


def resize(img, size):
    """Pillow's antialiased bicubic, as the methods' authors have it, by torch: a fifth of the time.

    Args:
        img: ``(H, W, 3)`` uint8.
        size: ``(width, height)`` of the result.
    """
    batch = torch.from_numpy(img)[None].permute(0, 3, 1, 2)
    batch = F.interpolate(batch, size=size[::-1], mode="bicubic", antialias=True)
    return batch.permute(0, 2, 3, 1)[0].numpy()


def crop_and_resize(results, crop, size, larger=None):
    """Crop first, then resize what is left, and update the affine map.

    Args:
        results: with ``img`` ``(H, W, 3)`` and ``affine`` ``(3, 3)``.
        crop: ``(x, y, w, h)`` integers in pixels of ``img``.
        size: ``(width, height)`` of the result.
        larger: what this function made of the same crop at another size. If it has a whole
            number of pixels to one of the result, their means are taken.

    Returns:
        dict: ``results`` with ``img``, ``img_shape``, ``crop`` and ``affine`` renewed, and
        ``resized``, the same as ``img``, which later transforms leave alone.
    """
    x, y, w, h = crop
    img = results["img"][y : y + h, x : x + w]
    if larger is not None and not np.mod(larger.shape[1::-1], size).any():
        img = cv2.resize(larger, size, interpolation=cv2.INTER_AREA)
    else:
        img = resize(img, size)
    results["img"] = results["resized"] = img
    results["img_shape"] = results["img"].shape[:2]
    results["crop"] = crop
    results["affine"] = crop_resize_affine(crop, size) @ results["affine"]
    return results


@TRANSFORMS.register_module()
class RegionMultiView(BaseTransform):
    """Make several views of one image, each by a pipeline of its own.

    Adds ``views``: a list of dicts with ``img``, ``img_shape``, ``affine`` (from the original
    image to the view) and ``crop``. A later pipeline finds the earlier ones in ``views``,
    and all find the ``windows`` that were drawn for them, if any. If the results have
    ``colours_on_device``, views whose pipeline ends in changes of colours bring ``colours``
    (:class:`Colours`) and are not changed here, if these come each once and in the order of
    ``colours.ORDER``.

    Args:
        pipelines: one list of transforms a view.
    """

    def __init__(self, pipelines):
        self.pipelines = [
            Compose([TRANSFORMS.build(step) for step in pipeline]) for pipeline in pipelines
        ]
        self.colours_last = [_ends_in_colours(pipeline.transforms) for pipeline in self.pipelines]

    def transform(self, results):
        """Add ``views``."""
        views = []
        for pipeline, colours_last in zip(self.pipelines, self.colours_last):
            start = dict(
                img=results["img"],
                affine=results.get("affine", np.eye(3)),
                views=views,
                windows=results.get("windows", ()),
            )
            if colours_last and results.get("colours_on_device"):
                start["colours"] = Colours()
            view = pipeline(start)
            del view["views"], view["windows"]
            views.append(view)
        results["views"] = views
        return results


def _ends_in_colours(transforms):
    """Whether changes of colours come last, each once and in the order of the device."""
    places = [ORDER.index(type(step)) if type(step) in ORDER else -1 for step in transforms]
    colours = [place for place in places if place >= 0]
    return bool(colours) and places == sorted(places) and len(set(colours)) == len(colours)


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
        if self.crop_of is not None:
            earlier = results["views"][self.crop_of]
            return crop_and_resize(results, earlier["crop"], tuple(self.scale), earlier["resized"])
        y, x, h, w = self.rand_crop_params(results["img"])
        return crop_and_resize(results, (x, y, w, h), tuple(self.scale))


@TRANSFORMS.register_module()
class RegionRandomFlip(BaseTransform):
    """Flip a view horizontally with probability ``prob``."""

    def __init__(self, prob=0.5):
        self.prob = prob

    def transform(self, results):
        """Renew ``img`` and ``affine`` if the coin says so."""
        if np.random.rand() < self.prob:
            results["affine"] = hflip_affine(results["img"].shape[1]) @ results["affine"]
            results["img"] = cv2.flip(results["img"], 1)
        return results
