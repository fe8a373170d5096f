from . import transforms
from .region_dataset import RegionDataset
from .worker import collate_views, seed_worker

__all__ = ["RegionDataset", "collate_views", "seed_worker", "transforms"]
