"""A tiny PLRC model, made from the demo's config, and batches for it."""

import numpy as np
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData
from tiny_models import build_tiny, random_views, randomise_norms

from mmregioncon.structures import RegionDataSample

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


def tiny_plrc(seed=0, max_iters=100, **options):
    """Build the demo's model with few channels; ``options`` like ``head__level='point'``."""
    hub = MessageHub.get_current_instance()
    hub.update_info("max_iters", max_iters)
    hub.update_info("iter", 0)
    return randomise_norms(build_tiny("demo/plrc_r18_demo.py", {**SHRINK, **options}, seed))


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
    inputs = random_views(rng, batch_size, (size, size))
    return inputs, point_samples(rng, batch_size, size, regions, points, matched, slots)
