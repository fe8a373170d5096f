from . import transforms
from .region_dataset import RegionDataset
from .worker import seed_worker

__all__ = ["RegionDataset", "seed_worker", "transforms"]
