from .ccop_head import CCOPHead, disjoint_pairs, intra_image_loss
from .detco_head import DetCoHead
from .info_nce import info_nce
from .plrc_head import PLRCHead, point_affinity_distillation, point_region_contrast
from .soco_head import SoCoHead, region_cosine_loss

__all__ = [
    "CCOPHead",
    "DetCoHead",
    "PLRCHead",
    "SoCoHead",
    "disjoint_pairs",
    "info_nce",
    "intra_image_loss",
    "point_affinity_distillation",
    "point_region_contrast",
    "region_cosine_loss",
]
