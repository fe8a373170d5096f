"""Hooks for pre-training and transfer."""

from .load_report import LoadReportHook
from .noise_curriculum import SpatialNoiseCurriculum
from .region_views import RegionViewsHook
from .rng_state import RNGStateHook

__all__ = ["LoadReportHook", "RNGStateHook", "RegionViewsHook", "SpatialNoiseCurriculum"]
