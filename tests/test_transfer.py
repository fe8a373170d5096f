"""What a pre-training checkpoint fills in the fine-tuning configs, and that they train."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from tiny_detection_data import write_coco

from mmregioncon.engine.hooks.load_report import copy_keys, match_module
from mmregioncon.utils import register_all_modules

CONFIGS = Path(__file__).parent.parent / "configs"
R50_FPN = "transfer/coco/mask-rcnn_r50_fpn_1x_coco_soco.py"
R50_C4 = "transfer/coco/mask-rcnn_r50-c4_1x_coco_soco.py"
C4_BACKBONE = "transfer/coco/mask-rcnn_r50-c4_1x_coco_backbone.py"
FPN_BACKBONE = "transfer/coco/mask-rcnn_r50_fpn_1x_coco_backbone.py"
FPN_2FC_BACKBONE = "transfer/coco/mask-rcnn_r50_fpn-2fc_1x_coco_backbone.py"
R18_CUSTOM = "custom/faster-rcnn_r18-fpn_custom.py"
R18_DEMO = "demo/faster-rcnn_r18-fpn_demo_soco.py"

BN = dict(type="BN", requires_grad=True)
# The detector's modules as the pre-training models build them, and how many keys they have.
PRETRAINING = {
    R50_FPN: {
        "backbone.": (dict(type="ResNet", depth=50), 318),
        "neck.": (
            dict(
                type="FPN",
                in_channels=[256, 512, 1024, 2048],
                out_channels=256,
                num_outs=4,
                norm_cfg=BN,
            ),
            48,
        ),
        "roi_head.bbox_head.": (
            dict(type="Shared4Conv1FCBBoxHead", in_channels=256, norm_cfg=BN),
            26,
        ),
    },
    R50_C4: {
        "backbone.": (
            dict(
                type="ResNet",
                depth=50,
                num_stages=3,
                strides=(1, 2, 2),
                dilations=(1, 1, 1),
                out_indices=(2,),
            ),
            258,
        ),
        "roi_head.shared_head.": (dict(type="ResLayer", depth=50, stage=3), 60),
    },
    R18_CUSTOM: {
        "backbone.": (dict(type="ResNet", depth=18), 120),
        "neck.": (
            dict(
                type="FPN",
                in_channels=[64, 128, 256, 512],
                out_channels=128,
                num_outs=4,
                norm_cfg=BN,
            ),
            48,
        ),
        "roi_head.bbox_head.": (
            dict(
                type="ConvFCBBoxHead",
                in_channels=128,
                num_shared_convs=2,
                num_shared_fcs=1,
                conv_out_channels=128,
                fc_out_channels=512,
                norm_cfg=BN,
            ),
            14,
        ),
    },
}

# Pre-training configs and the fine-tuning configs made for them.
PAIRS = [
    ("soco/soco_r50-fpn_8xb256-amp-coslr-100e_in1k.py", R50_FPN),
    ("soco/soco_r50-c4_8xb256-amp-coslr-100e_in1k.py", R50_C4),
    ("custom/soco_r18-fpn_custom.py", R18_CUSTOM),
    ("demo/soco_r18-fpn_demo.py", R18_DEMO),
    (
        "ccop/ccop_r50-fpn_8xb32-coslr-800e_coco.py",
        "transfer/coco/mask-rcnn_r50_fpn_1x_coco_ccop.py",
    ),
    ("custom/ccop_r18-fpn_custom.py", "custom/faster-rcnn_r18-fpn_custom_ccop.py"),
    ("demo/ccop_r18-fpn_demo.py", "demo/faster-rcnn_r18-fpn_demo_ccop.py"),
    ("plrc/plrc_r50_8xb32-coslr-100e_in1k.py", C4_BACKBONE),
    *(
        (f"{folder}/{method}_{data}.py", f"{target}_backbone.py")
        for folder, data, target in (
            ("demo", "r18_demo", "demo/faster-rcnn_r18-fpn_demo"),
            ("custom", "r18_custom", "custom/faster-rcnn_r18-fpn_custom"),
        )
        for method in ("plrc", "detco", "mocov2", "densecl")
    ),
    ("plrc/plrc_r50_8xb32-coslr-100e_in1k.py", FPN_BACKBONE),
    ("detco/detco_r50_8xb32-coslr-200e_in1k.py", FPN_2FC_BACKBONE),
    ("moco/mocov2_r50_8xb32-coslr-200e_in1k.py", FPN_BACKBONE),
    ("densecl/densecl_r50_8xb32-coslr-200e_in1k.py", C4_BACKBONE),
]


def pretraining_state(config):
    """State dict with the keys of a pre-training checkpoint."""
    state = {"projector.weight": torch.ones(1), "teacher.module.backbone.x": torch.ones(1)}
    for prefix, (module, _) in PRETRAINING[config].items():
        with DefaultScope.overwrite_default_scope("mmdet"):
            part = MODELS.build(module).state_dict()
        for key, value in part.items():
            state[prefix + key] = value
    return {k: v for k, v in state.items() if "fc_cls" not in k and "fc_reg" not in k}


def build_detector(cfg):
    with DefaultScope.overwrite_default_scope("mmdet"):
        return MODELS.build(cfg.model)


@pytest.mark.parametrize("config", PRETRAINING)
def test_every_pretrained_key_has_a_place_and_no_required_one_is_missing(config):
    cfg = Config.fromfile(CONFIGS / config)
    state = pretraining_state(config)
    detector = build_detector(cfg)
    (hook,) = cfg.custom_hooks
    assert cfg.load_from is None and hook.type == "mmregioncon.LoadReportHook"
    matches = [match_module(detector.state_dict(), state, p) for p in hook.modules.values()]
    assert [len(m.loaded) for m in matches] == [n for _, n in PRETRAINING[config].values()]
    assert not any(m.missing or m.other_shape or m.unused for m in matches)


@pytest.mark.parametrize("pretraining, transfer", PAIRS)
def test_a_pretrained_model_fills_the_detector(pretraining, transfer):
    register_all_modules(init_default_scope=False)
    source, target = (Config.fromfile(CONFIGS / name) for name in (pretraining, transfer))
    with torch.device("meta"):  # names and shapes are enough
        with DefaultScope.overwrite_default_scope("mmregioncon"):
            state = MODELS.build(source.model).state_dict()
        detector = build_detector(target).state_dict()
    hook = target.custom_hooks[0]
    copies = hook.get("copies", {})
    copy_keys(state, copies)
    for prefix in hook.modules.values():
        match = match_module(detector, state, prefix)
        assert match.loaded
        assert not (match.missing or match.other_shape)
        assert all(key.startswith(tuple(copies)) for key in match.unused)


@pytest.mark.parametrize("config", [R50_FPN, R50_C4])
def test_settings_of_the_papers_fine_tuning(config):
    cfg = Config.fromfile(CONFIGS / config)
    model, optimizer = cfg.model, cfg.optim_wrapper.optimizer
    assert (optimizer.lr, optimizer.weight_decay, optimizer.momentum) == (0.02, 2.5e-5, 0.9)
    assert cfg.train_cfg.max_iters == 90000
    assert cfg.param_scheduler[1].milestones == [60000, 80000]
    assert cfg.auto_scale_lr.base_batch_size == 16
    resize = cfg.train_dataloader.dataset.pipeline[2]
    assert [short for _, short in resize.scales] == [640, 672, 704, 736, 768, 800]
    assert model.data_preprocessor.mean == [123.675, 116.28, 103.53]
    assert model.data_preprocessor.std == [58.395, 57.12, 57.375]
    assert model.data_preprocessor.bgr_to_rgb
    detector = build_detector(cfg)
    detector.train()
    assert all(p.requires_grad for p in detector.parameters())
    norms = [m for m in detector.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    assert all(isinstance(m, torch.nn.SyncBatchNorm) for m in norms)
    assert all(m.training for m in norms)


@pytest.fixture
def tiny_coco(tmp_path):
    """Images of 64 px in COCO's layout, each with two boxes and their polygons."""
    write_coco(tmp_path)
    return tmp_path


def shrunk_config(config, root, work_dir, load_from):
    """The config as a user would run it on the tiny data, changed by cfg-options only."""
    cfg = Config.fromfile(CONFIGS / config)
    options = {
        "load_from": str(load_from),
        "work_dir": str(work_dir),
        "train_cfg.max_iters": 2,
        "train_cfg.val_interval": 2,
        "val_evaluator.ann_file": str(root / "annotations/instances_val2017.json"),
        "model.train_cfg.rpn_proposal.max_per_img": 16,
        "model.train_cfg.rcnn.sampler.num": 8,
        "model.test_cfg.rpn.max_per_img": 8,
        "model.test_cfg.rcnn.score_thr": 0.0,
        "model.test_cfg.rcnn.max_per_img": 4,
        "train_dataloader.dataset.pipeline.2.scales": [(64, 64)],
        "val_dataloader.dataset.pipeline.1.scale": (64, 64),
        "default_hooks.logger.interval": 1,
        "default_hooks.checkpoint.save_last": False,
    }
    for split in ("train", "val"):
        dataset = f"{split}_dataloader.dataset"
        options |= {
            f"{split}_dataloader.num_workers": 0,
            f"{split}_dataloader.persistent_workers": False,
            f"{dataset}.data_root": str(root),
            f"{dataset}.ann_file": f"annotations/instances_{split}2017.json",
            f"{dataset}.data_prefix.img": f"{split}2017/",
        }
    cfg.merge_from_dict(options)
    return cfg


@pytest.mark.slow
@pytest.mark.parametrize("config", [R50_FPN, R50_C4, R18_CUSTOM])
def test_two_steps_and_an_evaluation_from_a_checkpoint(config, tiny_coco, tmp_path):
    checkpoint = tmp_path / "epoch_1.pth"
    torch.save(dict(meta={}, state_dict=pretraining_state(config)), checkpoint)
    cfg = shrunk_config(config, tiny_coco, tmp_path / "work", checkpoint)
    if config == R18_CUSTOM:
        for dataloader in (cfg.train_dataloader, cfg.val_dataloader):
            dataloader.dataset.metainfo.classes = ("person", "bicycle")
    runner = Runner.from_cfg(cfg)
    before = runner.model.roi_head.bbox_head.fc_cls.weight.clone()
    runner.train()

    assert runner.iter == 2
    assert not torch.equal(before, runner.model.roi_head.bbox_head.fc_cls.weight)
    log = Path(runner.log_dir, f"{runner.timestamp}.log").read_text()
    counts = [n for _, n in PRETRAINING[config].values()]
    assert f"Loading from {checkpoint}: backbone {counts[0]}/{counts[0]}" in log
    assert "bbox_mAP" in log and "nan" not in log
    norms = {type(m).__name__ for m in runner.model.modules() if "Norm" in type(m).__name__}
    assert "SyncBatchNorm" not in norms, "SyncBN needs a process group"
