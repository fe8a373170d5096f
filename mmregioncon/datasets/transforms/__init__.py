from .colours import (
    RegionColorJitter,
    RegionGaussianBlur,
    RegionRandomGrayscale,
    RegionSolarize,
)
from .common_regions import CommonRegions
from .crop_pairs import DrawCropPair, DrawOverlappingCrops, DrawRegionCrops, RegionCrop
from .formatting import PackRegionInputs
from .jigsaw import JigsawPatches
from .loading import BadImageError, LoadRegionImage
from .pair_regions import RegionCutout, SelectPairRegions
from .region_points import FelzenszwalbLabels, GridLabels, MaskLabels, SampleRegionPoints
from .views import RegionMultiView, RegionRandomFlip, RegionRandomResizedCrop, RegionResize

__all__ = [
    "BadImageError",
    "CommonRegions",
    "DrawCropPair",
    "DrawOverlappingCrops",
    "DrawRegionCrops",
    "FelzenszwalbLabels",
    "GridLabels",
    "JigsawPatches",
    "LoadRegionImage",
    "MaskLabels",
    "PackRegionInputs",
    "RegionColorJitter",
    "RegionCrop",
    "RegionCutout",
    "RegionGaussianBlur",
    "RegionMultiView",
    "RegionRandomFlip",
    "RegionRandomGrayscale",
    "RegionRandomResizedCrop",
    "RegionResize",
    "RegionSolarize",
    "SampleRegionPoints",
    "SelectPairRegions",
]
