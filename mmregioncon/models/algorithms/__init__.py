from .base import RegionContrastModel
from .detco import DetCo
from .soco import SoCo

__all__ = ["DetCo", "RegionContrastModel", "SoCo"]
