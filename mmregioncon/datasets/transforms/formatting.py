"""The last transform: from a dict of arrays to what a model receives."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import InstanceData

from mmregioncon.registry import TRANSFORMS
from mmregioncon.structures import RegionDataSample


@TRANSFORMS.register_module()
class PackRegionInputs(BaseTransform):
    """Pack the views.

    Returns ``dict(inputs, data_samples)``: ``inputs`` is a list of V ``(3, H, W)`` uint8 tensors
    (of the images' own memory, channels last), ``data_samples`` one :class:`RegionDataSample`.

    Args:
        meta_keys: what of the results is kept as metainfo, if present.
    """

    def __init__(
        self,
        meta_keys=(
            "sample_idx", "img_path", "ori_shape", "pairs", "matched_points", "cutout_fill",
        ),
    ):  # fmt: skip
        self.meta_keys = tuple(meta_keys)

    def transform(self, results):
        """Pack ``results['views']``."""
        views = results["views"]
        inputs = [torch.from_numpy(view["img"]).permute(2, 0, 1) for view in views]
        meta = {key: results[key] for key in self.meta_keys if key in results}
        meta["affines"] = np.stack([view["affine"] for view in views])
        if any("colours" in view for view in views):
            meta["colours"] = [view.get("colours") for view in views]
        sample = RegionDataSample(metainfo=meta)
        sample.views = [_instance(view) for view in views]
        return dict(inputs=inputs, data_samples=sample)


def _instance(view):
    boxes = view.get("boxes", np.zeros((0, 4), np.float32))
    ids = view.get("ids", np.zeros(0, np.int64))
    instance = InstanceData(boxes=boxes.astype(np.float32), ids=ids.astype(np.int64))
    if "points" in view:
        instance.points = view["points"].astype(np.float32)
    if "cutouts" in view:
        instance.cutouts = view["cutouts"]
    return instance
