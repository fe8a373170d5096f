from .crop_pairs import DrawCropPair, DrawOverlappingCrops, RegionCrop
from .formatting import PackRegionInputs
from .jigsaw import JigsawPatches
from .loading import BadImageError, LoadRegionImage
from .pair_regions import RegionCutout, SelectPairRegions
from .views import RegionMultiView, RegionRandomFlip, RegionRandomResizedCrop, RegionResize

__all__ = [
    "BadImageError",
    "DrawCropPair",
    "DrawOverlappingCrops",
    "JigsawPatches",
    "LoadRegionImage",
    "PackRegionInputs",
    "RegionCrop",
    "RegionCutout",
    "RegionMultiView",
    "RegionRandomFlip",
    "RegionRandomResizedCrop",
    "RegionResize",
    "SelectPairRegions",
]
