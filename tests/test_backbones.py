"""Every method trains every kind of backbone, and a detector takes what it gives out."""

from functools import partial

import numpy as np
import pytest
import torch
from tiny_ccop import tiny_batch as ccop_batch
from tiny_ccop import tiny_model as tiny_ccop
from tiny_detco import tiny_detco, tiny_views
from tiny_models import build_tiny, finite_step, random_views, trainable
from tiny_plrc import tiny_plrc, tiny_points
from tiny_soco import tiny_batch as soco_batch
from tiny_soco import tiny_model as tiny_soco

WIDTH = 16  # channels of the pyramid
# Configs that replace a model's own, and channels of the four stages
BACKBONES = {
    "resnet18": (
        dict(_delete_=True, type="mmdet.ResNet", depth=18, base_channels=8, norm_eval=False),
        [8, 16, 32, 64],
    ),
    "resnet50": (
        dict(_delete_=True, type="mmdet.ResNet", depth=50, base_channels=8, norm_eval=False),
        [32, 64, 128, 256],
    ),
    "swin": (
        dict(
            _delete_=True,
            type="mmdet.SwinTransformer",
            embed_dims=8,
            depths=(1, 1, 1, 1),
            num_heads=(1, 2, 2, 2),
            window_size=4,
        ),
        [8, 16, 32, 64],
    ),
    "convnext": (
        dict(
            _delete_=True,
            type="mmpretrain.ConvNeXt",
            arch=dict(depths=[1, 1, 1, 1], channels=[8, 16, 32, 64]),
            gap_before_final_norm=False,
        ),
        [8, 16, 32, 64],
    ),
}


def soco(backbone, channels, **options):
    return tiny_soco(backbone=backbone, neck__in_channels=channels, **options)


def ccop(backbone, channels, **options):
    return tiny_ccop(
        backbone=backbone,
        neck__in_channels=channels,
        neck__out_channels=WIDTH,
        roi_head__bbox_roi_extractor__out_channels=WIDTH,
        projector__in_channels=channels[-1],
        roi_projector__in_channels=WIDTH * 49,
        **options,
    )


def detco(backbone, channels):
    return tiny_detco(backbone=backbone, projector__in_channels=channels)


def plrc(backbone, channels):
    return tiny_plrc(backbone=backbone, projector__in_channels=channels[-1])


def baseline(config, backbone, channels):
    """A model of mmpretrain's."""
    return build_tiny(
        config,
        dict(
            backbone=backbone,
            neck__in_channels=channels[-1],
            neck__hid_channels=32,
            neck__out_channels=16,
            feat_dim=16,
            queue_len=8,  # a multiple of the batch, or mmpretrain refuses it
        ),
    )


def two_views(seed):
    return [random_views(np.random.default_rng(seed), 2, (64, 64))]


mocov2 = partial(baseline, "demo/mocov2_r18_demo.py")
densecl = partial(baseline, "demo/densecl_r18_demo.py")
ALL, LAST = (0, 1, 2, 3), (3,)
# How to make a model and, from a seed, a batch of two images; which stages the backbone gives out;
# what a detector finds in the checkpoint
METHODS = {
    "soco": (
        soco,
        lambda seed: soco_batch(2, seed=seed),
        ALL,
        ("backbone.", "neck.", "roi_head.bbox_head.shared_"),
    ),
    "ccop": (ccop, lambda seed: ccop_batch((2, 2), seed=seed), ALL, ("backbone.", "neck.")),
    "detco": (detco, lambda seed: [tiny_views(2, 64, 32, seed=seed)], ALL, ("backbone.",)),
    "plrc": (plrc, lambda seed: tiny_points(2, seed=seed), LAST, ("backbone.",)),
    "mocov2": (mocov2, two_views, LAST, ("backbone.",)),
    "densecl": (densecl, two_views, LAST, ("backbone.",)),
}


def detector(backbone, channels):
    """The demo's Faster R-CNN with this backbone, and SoCo's tiny box head."""
    changes = dict(
        backbone=backbone,
        neck=dict(in_channels=channels, out_channels=WIDTH),
        rpn_head=dict(in_channels=WIDTH, feat_channels=WIDTH),
        roi_head__bbox_roi_extractor__out_channels=WIDTH,
        roi_head__bbox_head=dict(
            num_shared_convs=1, in_channels=WIDTH, conv_out_channels=WIDTH, fc_out_channels=32
        ),
    )
    return build_tiny("demo/faster-rcnn_r18-fpn_demo.py", changes, scope="mmdet")


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("method", METHODS)
def test_trains_and_loads_into_a_detector(method, name):
    make, batch, stages, found = METHODS[method]
    backbone, channels = BACKBONES[name]
    model = make(dict(backbone, out_indices=stages), channels)
    optimizer = torch.optim.SGD(trainable(model), lr=0.01)
    for seed in range(2):
        finite_step(model, batch(seed))
        optimizer.step()
    trained = model.state_dict()

    whole = detector(dict(backbone, out_indices=ALL), channels)
    missing, unexpected = whole.load_state_dict(trained, strict=False)
    assert not [key for key in unexpected if key.startswith("backbone.")]
    wanted = {key: value for key, value in whole.state_dict().items() if key.startswith(found)}
    assert all(any(key.startswith(prefix) for key in wanted) for prefix in found)
    # Swin and ConvNeXt have a norm for each stage that is given out; ResNet has no such keys.
    norms = tuple(f"backbone.norm{stage}." for stage in ALL if stage not in stages)
    lacking = {key for key in wanted if key.startswith(norms)}
    assert {key for key in missing if key.startswith(found)} == lacking
    for key in wanted.keys() - lacking:
        assert torch.equal(wanted[key], trained[key]), key


@pytest.mark.parametrize("name", ["swin", "convnext"])
@pytest.mark.parametrize("make, batch", [(soco, soco_batch), (ccop, ccop_batch)])
@pytest.mark.parametrize("skip_unused_levels", [True, False])
def test_gradients_are_there_for_levels_without_regions(make, batch, name, skip_unused_levels):
    """These backbones have a norm for each map, and no region is on the finest ones."""
    backbone, channels = BACKBONES[name]
    backbone = dict(backbone, out_indices=ALL)
    model = make(backbone, channels, skip_unused_levels=skip_unused_levels)
    finite_step(model, batch(side=(0.8, 0.9)))
