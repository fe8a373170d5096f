from .detco_head import DetCoHead
from .info_nce import info_nce
from .soco_head import SoCoHead, region_cosine_loss

__all__ = ["DetCoHead", "SoCoHead", "info_nce", "region_cosine_loss"]
