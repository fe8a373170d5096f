from .batch_shuffle import BatchShuffle, gather_unequal
from .bbox_trunk import BBoxHeadTrunk
from .box_noise import BoxNoise, candidate_boxes, jittered_boxes, noise_at
from .memory_queue import MemoryQueue, build_queue
from .momentum_teacher import MomentumTeacher
from .point_sampling import sample_points
from .region_fpn import RegionFPN
from .region_res_layer import RegionResLayer
from .region_roi_head import RegionRoIHead
from .roi_extractor import ScaleAwareRoIExtractor

__all__ = [
    "BBoxHeadTrunk",
    "BatchShuffle",
    "BoxNoise",
    "MemoryQueue",
    "MomentumTeacher",
    "RegionFPN",
    "RegionResLayer",
    "RegionRoIHead",
    "ScaleAwareRoIExtractor",
    "build_queue",
    "candidate_boxes",
    "gather_unequal",
    "jittered_boxes",
    "noise_at",
    "sample_points",
]
