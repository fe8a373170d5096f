from .bbox_trunk import BBoxHeadTrunk
from .momentum_teacher import MomentumTeacher
from .region_fpn import RegionFPN
from .region_roi_head import RegionRoIHead
from .roi_extractor import ScaleAwareRoIExtractor

__all__ = [
    "BBoxHeadTrunk",
    "MomentumTeacher",
    "RegionFPN",
    "RegionRoIHead",
    "ScaleAwareRoIExtractor",
]
