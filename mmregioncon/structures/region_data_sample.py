"""What a dataset hands to a model: one image's regions in each of its views."""

from typing import NamedTuple

import numpy as np
import torch
from mmengine.structures import BaseDataElement, InstanceData


class RegionDataSample(BaseDataElement):
    """Regions of one image, view by view.

    ``views`` is a list with one :class:`InstanceData` a view, whose fields are NumPy arrays (a
    batch of tensors is made in one piece by :func:`batch_regions` or :func:`batch_points`):

    - ``boxes`` ``(K, 4)`` float32 xyxy in the pixels of that view,
    - ``ids`` ``(K,)`` int64; the same id in two views is the same region, -1 is an empty slot,
    - ``points`` ``(K, N, 2)`` float32 xy in the pixels of that view, if the method samples them,
    - ``cutouts`` ``(K, 4)`` float32 xyxy, squares that the device paints after the colours,
    - further fields of the method.

    Metainfo: ``img_path``, ``ori_shape`` (H, W), ``affines`` (V, 3, 3) from the original image
    to each view; if the device changes colours, ``colours``, a :class:`Colours` or ``None`` for
    each view, and ``cutout_fill``.
    """

    @property
    def views(self):
        return self._views

    @views.setter
    def views(self, value):
        if not all(isinstance(view, InstanceData) for view in value):
            raise TypeError("RegionDataSample.views is a list of InstanceData, one a view")
        self.set_field(value, "_views", dtype=list)

    @views.deleter
    def views(self):
        del self._views


class RegionBatch(NamedTuple):
    """The regions of a batch in one view.

    Attributes:
        rois: ``(N, 5)`` float32: image index in the batch, then xyxy in view pixels.
        ids: ``(N,)`` int64 region ids, unique only within an image.
        counts: regions of each image, a list of B ints that sum to N.
    """

    rois: torch.Tensor
    ids: torch.Tensor
    counts: list


def batch_regions(data_samples, view, device=None):
    """Join the regions of one view over a batch, with one copy to the device a field.

    Args:
        data_samples: B :class:`RegionDataSample`.
        view: index of the view.
        device: where the tensors go.

    Returns:
        RegionBatch: ordered by image, then as in each sample.
    """
    instances = [sample.views[view] for sample in data_samples]
    counts = [len(instance.boxes) for instance in instances]
    image = np.repeat(np.arange(len(counts), dtype=np.float32), counts)
    boxes = np.concatenate([instance.boxes for instance in instances])
    rois = np.concatenate([image[:, None], boxes], axis=1, dtype=np.float32)
    ids = np.concatenate([instance.ids for instance in instances])
    to_device = dict(device=device, non_blocking=True)
    return RegionBatch(
        torch.from_numpy(rois).to(**to_device), torch.from_numpy(ids).to(**to_device), counts
    )


class PointBatch(NamedTuple):
    """Points drawn from the regions of a batch in one view.

    Attributes:
        points: ``(B, P, N, 2)`` float32 xy in view pixels: N points of each of P slots.
        ids: ``(B, P)`` int64 region ids, unique only within an image, -1 for an empty slot.
    """

    points: torch.Tensor
    ids: torch.Tensor


def batch_points(data_samples, view, device=None):
    """Join the region points of one view over a batch, with one copy to the device a field.

    Args:
        data_samples: B :class:`RegionDataSample` with ``points``, equally many regions each.
        view: index of the view.
        device: where the tensors go.
    """
    instances = [sample.views[view] for sample in data_samples]
    fields = (np.stack([getattr(one, name) for one in instances]) for name in ("points", "ids"))
    return PointBatch(*(torch.from_numpy(f).to(device, non_blocking=True) for f in fields))
