"""Where regions come from: proposers, filters, the RegionStore and its imports and exports."""

from .coco import CocoBoxes, export_coco, import_coco, read_coco
from .fast_search import FastSearch
from .filters import build_filter, ccop_filter, nms, no_filter, soco_filter
from .generate import generate_regions, merge_shards
from .images import ImageList, list_images, read_image
from .proposers import (
    CocoRegions,
    FelzenszwalbRegions,
    GridRegions,
    RandomRegions,
    SelectiveSearch,
)
from .segments import ReducedSegments, decode_labels, encode_labels
from .soco import import_soco
from .store import RegionRow, RegionStore, RegionStoreError, write_store
from .validate import validate_store

__all__ = [
    "CocoBoxes",
    "CocoRegions",
    "FastSearch",
    "FelzenszwalbRegions",
    "GridRegions",
    "ImageList",
    "RandomRegions",
    "ReducedSegments",
    "RegionRow",
    "RegionStore",
    "RegionStoreError",
    "SelectiveSearch",
    "build_filter",
    "ccop_filter",
    "decode_labels",
    "encode_labels",
    "export_coco",
    "generate_regions",
    "import_coco",
    "import_soco",
    "list_images",
    "merge_shards",
    "nms",
    "no_filter",
    "read_coco",
    "read_image",
    "soco_filter",
    "validate_store",
    "write_store",
]
