from .soco_head import SoCoHead, region_cosine_loss

__all__ = ["SoCoHead", "region_cosine_loss"]
