"""A tiny PLRC model, made from the demo's config, and batches for it."""

from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from tiny_soco import randomise_norms

from mmregioncon.registry import MODELS
from mmregioncon.structures import RegionDataSample
from mmregioncon.utils import register_all_modules

CONFIG = Path(__file__).parents[1] / "configs/demo/plrc_r18_demo.py"
SHRINK = {
    "backbone.base_channels": 8,
    "projector.in_channels": 64,
    "projector.hid_channels": 32,
    "projector.out_channels": 16,
    "queue.length": 32,
    "channels_last": False,
}
PROTOTYPES = dict(
    type="PrototypeHead", in_channels=64, hid_channels=32, bottleneck_channels=8, out_channels=24
)


def tiny_plrc(seed=0, max_iters=100, options=None, **others):
    """Build the demo's model with few channels; ``others`` like ``head__level='point'``."""
    register_all_modules(init_default_scope=False)
    cfg = Config.fromfile(CONFIG)
    changes = dict(SHRINK, **(options or {}))
    changes.update({key.replace("__", "."): value for key, value in others.items()})
    cfg.merge_from_dict({f"model.{key}": value for key, value in changes.items()})
    hub = MessageHub.get_current_instance()
    hub.update_info("max_iters", max_iters)
    hub.update_info("iter", 0)
    torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope("mmregioncon"):
        return randomise_norms(MODELS.build(cfg.model))


def point_samples(rng, batch_size, size, regions, points, matched, slots=None):
    """Data samples with random points of ``regions`` regions in ``slots`` slots of two views."""
    slots = slots or regions
    ids = np.full(slots, -1)
    ids[:regions] = np.arange(regions) * 3
    samples = []
    for _ in range(batch_size):
        sample = RegionDataSample(metainfo=dict(matched_points=matched))
        views = []
        for _ in range(2):
            where = rng.uniform(0, size, (slots, points, 2)).astype(np.float32)
            boxes = np.concatenate([where.min(1), where.max(1)], 1)
            views.append(InstanceData(boxes=boxes, ids=ids.copy(), points=where))
        sample.views = views
        samples.append(sample)
    return samples


def tiny_points(batch_size=4, size=64, regions=3, points=4, seed=0, matched=False, slots=None):
    """Two random views and points of their regions."""
    rng = np.random.default_rng(seed)
    inputs = [
        torch.from_numpy(rng.normal(size=(batch_size, 3, size, size)).astype(np.float32))
        for _ in range(2)
    ]
    return inputs, point_samples(rng, batch_size, size, regions, points, matched, slots)
