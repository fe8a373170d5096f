from .base import RegionContrastModel
from .soco import SoCo

__all__ = ["RegionContrastModel", "SoCo"]
