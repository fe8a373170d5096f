"""A tiny DetCo model, made from the demo's config, and views for it."""

import torch
from tiny_models import build_tiny, randomise_norms

SHRINK = {
    "backbone.base_channels": 8,
    "projector.in_channels": [8, 16, 32, 64],
    "projector.hid_channels": 32,
    "projector.out_channels": 16,
    "queue.length": 24,
    "channels_last": False,
}


def tiny_detco(seed=0, **options):
    """The demo's model with few channels; ``options`` like ``projector__key=value``."""
    return randomise_norms(build_tiny("demo/detco_r18_demo.py", {**SHRINK, **options}, seed))


def tiny_views(batch_size=4, image=32, patch=16, patches=9, kinds=(0, 1), seed=0):
    """Random views: image query, image key, patches query, patches key."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(image, image), (patch, patches * patch)]
    return [
        torch.randn(batch_size, 3, *shapes[kind], generator=generator)
        for kind in kinds
        for _ in range(2)
    ]
