from .colours import Colours, blur_kernel
from .geometry import (
    box_areas,
    clip_boxes,
    crop_resize_affine,
    hflip_affine,
    jitter_boxes,
    map_boxes,
    map_points,
    view_window,
    visible_boxes,
)
from .region_data_sample import (
    PointBatch,
    RegionBatch,
    RegionDataSample,
    batch_points,
    batch_regions,
)

__all__ = [
    "Colours",
    "PointBatch",
    "RegionBatch",
    "RegionDataSample",
    "batch_points",
    "batch_regions",
    "blur_kernel",
    "box_areas",
    "clip_boxes",
    "crop_resize_affine",
    "hflip_affine",
    "jitter_boxes",
    "map_boxes",
    "map_points",
    "view_window",
    "visible_boxes",
]
