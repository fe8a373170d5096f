"""A tiny SoCo model, made from the demo's config, and batches for it."""

from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

from mmregioncon.registry import MODELS
from mmregioncon.structures import RegionDataSample
from mmregioncon.utils import register_all_modules

CONFIG = Path(__file__).parents[1] / "configs/demo/soco_r18-fpn_demo.py"
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


def shrink_options(prefix="model."):
    """The cfg-options that make the demo's model tiny."""
    return {prefix + key: value for key, value in SHRINK.items()}


def tiny_model(seed=0, max_iters=100, initialise=True, **options):
    """Build the demo's model with few channels; ``options`` like ``roi_head__key=value``."""
    register_all_modules(init_default_scope=False)
    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict(shrink_options())
    cfg.merge_from_dict({f"model.{k.replace('__', '.')}": v for k, v in options.items()})
    MessageHub.get_current_instance().update_info("max_iters", max_iters)
    torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope("mmregioncon"):
        model = MODELS.build(cfg.model)
    return randomise_norms(model) if initialise else model


def tiny_c4_model(seed=0):
    """The C4 model of the paper with a ResNet-18, small MLPs, and BN for SyncBN."""
    register_all_modules(init_default_scope=False)
    cfg = Config.fromfile(CONFIG.parents[1] / "_base_/models/soco_r50-c4.py")
    cfg.merge_from_dict(
        {
            "model.backbone.depth": 18,
            "model.roi_head.bbox_roi_extractor.out_channels": 256,
            "model.roi_head.shared_head.depth": 18,
            "model.projector.in_channels": 512,
            "model.projector.hid_channels": 64,
            "model.projector.out_channels": 16,
            "model.predictor.in_channels": 16,
            "model.predictor.hid_channels": 64,
            "model.predictor.out_channels": 16,
            "model.teacher.end_momentum": None,
        }
    )
    torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope("mmregioncon"):
        return randomise_norms(revert_sync_batchnorm(MODELS.build(cfg.model)))


def randomise_norms(model):
    """Give every norm layer a scale and a shift, so that no branch starts multiplied by zero."""
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    return model


def tiny_batch(batch_size=4, sizes=(64, 64, 48), num_regions=4, seed=0, side=None):
    """Random views and boxes of all levels; pairs (0, 1), (0, 2), ...

    Args:
        side: range of the boxes' sides relative to the view; ``None`` spreads over all levels.
    """
    rng = np.random.default_rng(seed)
    inputs = [
        torch.from_numpy(rng.normal(size=(batch_size, 3, s, s)).astype(np.float32)) for s in sizes
    ]
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


def total(losses):
    """Sum of a dict of losses."""
    return sum(losses.values())


def online_gradients(model):
    """Gradients by name of the online parameters."""
    return {
        name: parameter.grad
        for name, parameter in model.named_parameters()
        if not name.startswith("teacher.")
    }
