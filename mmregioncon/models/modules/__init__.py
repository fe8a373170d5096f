from .batch_shuffle import BatchShuffle, gather_unequal
from .bbox_trunk import BBoxHeadTrunk
from .memory_queue import MemoryQueue
from .momentum_teacher import MomentumTeacher
from .region_fpn import RegionFPN
from .region_roi_head import RegionRoIHead
from .roi_extractor import ScaleAwareRoIExtractor

__all__ = [
    "BBoxHeadTrunk",
    "BatchShuffle",
    "MemoryQueue",
    "MomentumTeacher",
    "RegionFPN",
    "RegionRoIHead",
    "ScaleAwareRoIExtractor",
    "gather_unequal",
]
