"""A tiny CCOP model, made from the demo's config, and batches for it."""

import numpy as np
from mmengine.structures import InstanceData
from tiny_models import build_tiny, random_views, randomise_norms
from tiny_soco import THRESHOLDS

from mmregioncon.structures import RegionDataSample

SHRINK = {
    "backbone.base_channels": 8,
    "neck.in_channels": [8, 16, 32, 64],
    "neck.out_channels": 8,
    "roi_head.bbox_roi_extractor.out_channels": 8,
    "roi_head.bbox_roi_extractor.scale_thresholds": THRESHOLDS,
    "projector.in_channels": 64,
    "projector.hid_channels": 32,
    "projector.out_channels": 16,
    "roi_projector.in_channels": 8 * 49,
    "roi_projector.hid_channels": 32,
    "roi_projector.out_channels": 16,
    "queue.length": 64,
    "roi_queue.length": 256,
}
SHRINK_C4 = {
    "backbone.depth": 18,
    "roi_head.bbox_roi_extractor.out_channels": 256,
    "roi_head.shared_head.depth": 18,
    "projector.in_channels": 512,
    "projector.hid_channels": 32,
    "projector.out_channels": 16,
    "roi_projector.in_channels": 512,
    "roi_projector.hid_channels": 32,
    "roi_projector.out_channels": 16,
    "queue.length": 64,
    "roi_queue.length": 256,
}


def tiny_model(seed=0, config="demo/ccop_r18-fpn_demo.py", shrink=SHRINK, **options):
    """Build the demo's model with few channels; ``options`` like ``roi_head__key=value``."""
    return randomise_norms(build_tiny(config, {**shrink, **options}, seed))


def tiny_c4_model(**options):
    """The paper's C4 model with a ResNet-18 and small MLPs."""
    return tiny_model(config="_base_/models/ccop_r50-c4.py", shrink=SHRINK_C4, **options)


def tiny_batch(counts=(3, 0, 5, 1), size=64, seed=0, side=(0.1, 0.9)):
    """Two random views of ``len(counts)`` images with so many regions each."""
    rng = np.random.default_rng(seed)
    inputs = random_views(rng, len(counts), (size, size))
    samples = []
    for count in counts:
        sample = RegionDataSample()
        sample.views = [
            InstanceData(boxes=random_boxes(rng, count, size, side), ids=np.arange(count))
            for _ in range(2)
        ]
        samples.append(sample)
    return inputs, samples


def random_boxes(rng, count, size, side):
    """Boxes ``(count, 4)`` inside a view, with sides in the range ``side`` relative to it."""
    sides = rng.uniform(*side, (count, 2)) * size
    corner = rng.uniform(0, 1, (count, 2)) * (size - sides)
    return np.concatenate([corner, corner + sides], axis=1).astype(np.float32)
