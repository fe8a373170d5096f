"""A tiny SoCo model, made from the demo's config, and batches for it."""

import numpy as np
from mmengine.logging import MessageHub
from mmengine.model import revert_sync_batchnorm
from mmengine.structures import InstanceData
from tiny_models import build_tiny, random_views, randomise_norms

from mmregioncon.structures import RegionDataSample

# Where boxes of a 64-pixel view change their pyramid level.
THRESHOLDS = (12, 24, 40)
SHRINK = {
    "backbone.depth": 18,
    "backbone.base_channels": 8,
    "neck.in_channels": [8, 16, 32, 64],
    "neck.out_channels": 16,
    "roi_head.bbox_roi_extractor.out_channels": 16,
    "roi_head.bbox_roi_extractor.scale_thresholds": THRESHOLDS,
    "roi_head.bbox_head.num_shared_convs": 1,
    "roi_head.bbox_head.in_channels": 16,
    "roi_head.bbox_head.conv_out_channels": 16,
    "roi_head.bbox_head.fc_out_channels": 32,
    "projector.in_channels": 32,
    "projector.hid_channels": 64,
    "projector.out_channels": 16,
    # the paper's projector: the demo's has a last BN
    "projector.with_last_bn": False,
    "projector.with_last_bias": True,
    "predictor.in_channels": 16,
    "predictor.hid_channels": 64,
    "predictor.out_channels": 16,
}
SHRINK_C4 = {
    "backbone.depth": 18,
    "roi_head.bbox_roi_extractor.out_channels": 256,
    "roi_head.shared_head.depth": 18,
    "projector.in_channels": 512,
    "projector.hid_channels": 64,
    "projector.out_channels": 16,
    "predictor.in_channels": 16,
    "predictor.hid_channels": 64,
    "predictor.out_channels": 16,
    "teacher.end_momentum": None,
}


def shrink_options(prefix="model."):
    """The cfg-options that make the demo's model tiny."""
    return {prefix + key: value for key, value in SHRINK.items()}


def tiny_model(seed=0, max_iters=100, initialise=True, **options):
    """Build the demo's model with few channels; ``options`` like ``roi_head__key=value``."""
    MessageHub.get_current_instance().update_info("max_iters", max_iters)
    model = build_tiny("demo/soco_r18-fpn_demo.py", {**SHRINK, **options}, seed)
    return randomise_norms(model) if initialise else model


def tiny_c4_model(seed=0):
    """The C4 model of the paper with a ResNet-18, small MLPs, and BN for SyncBN."""
    model = build_tiny("_base_/models/soco_r50-c4.py", SHRINK_C4, seed)
    return randomise_norms(revert_sync_batchnorm(model))


def tiny_batch(batch_size=4, sizes=(64, 64, 48), num_regions=4, seed=0, side=None):
    """Random views and boxes of all levels; pairs (0, 1), (0, 2), ...

    Args:
        side: range of the boxes' sides relative to the view; ``None`` spreads over all levels.
    """
    rng = np.random.default_rng(seed)
    inputs = random_views(rng, batch_size, sizes)
    pairs = [(0, view) for view in range(1, len(sizes))]
    samples = []
    for _ in range(batch_size):
        sample = RegionDataSample(metainfo=dict(pairs=pairs))
        sample.views = [
            _regions(rng, size, num_regions, len(pairs) if view == 0 else 1, side)
            for view, size in enumerate(sizes)
        ]
        samples.append(sample)
    return inputs, samples


def _regions(rng, size, num_regions, num_pairs, side):
    count = num_regions * num_pairs
    fractions = np.resize([0.12, 0.3, 0.5, 0.8], (count, 1)) if side is None else None
    if side is not None:
        fractions = rng.uniform(*side, (count, 1))
    sides = fractions * size * rng.uniform(0.95, 1.05, (count, 2))
    corner = rng.uniform(0, 1, (count, 2)) * (size - sides)
    boxes = np.concatenate([corner, corner + sides], axis=1).astype(np.float32)
    return InstanceData(boxes=boxes, ids=np.tile(np.arange(num_regions), num_pairs))
