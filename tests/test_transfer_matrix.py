"""Every transfer config: what each method's checkpoint fills, and that it trains and evaluates."""

import logging
import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import BaseLoop, Runner
from tiny_detection_data import WRITERS

from mmregioncon.registry import HOOKS, MODELS
from mmregioncon.utils import register_all_modules
from mmregioncon.utils.config_check import check_options, check_top_level

CONFIGS = Path(__file__).parents[1] / "configs"
# What the checkpoints of these methods have besides a backbone
METHODS = {
    "soco": "soco/soco_r50-fpn_1xb64-coslr-100e_in1k.py",
    "ccop": "ccop/ccop_r50-fpn_1xb64-coslr-800e_coco.py",
    "plrc": "plrc/plrc_r50_1xb64-coslr-100e_in1k.py",
    "detco": "detco/detco_r50_1xb64-coslr-100e_in1k.py",
    "mocov2": "moco/mocov2_r50_1xb64-coslr-200e_in1k.py",
    "densecl": "densecl/densecl_r50_1xb64-coslr-200e_in1k.py",
    "soco-c4": "soco/soco_r50-c4_1xb64-coslr-100e_in1k.py",
}
BACKBONE, NECK, TRUNK = "backbone 318/318", "neck 48/48", "bbox_head trunk 26/26"
C4 = "backbone 258/258, shared_head 60/60"
SHIFTED = "laterals 18/18, P3 6/6, P4 6/6, P5 6/6"
# Detectors (start of the config's name), and what they get from SoCo and CCOP; from the others
# they get the backbone, and the C4 detectors their res5 with it.
FILLED = {
    "mask-rcnn_r50-c4": (C4, C4),
    "faster-rcnn_r50-c4": (C4, C4),
    "mask-rcnn_r50_fpn-2fc": (f"{BACKBONE}, {NECK}", f"{BACKBONE}, {NECK}"),
    "mask-rcnn_r50_fpn": (f"{BACKBONE}, {NECK}, {TRUNK}", f"{BACKBONE}, {NECK}"),
    "faster-rcnn_r50_fpn": (f"{BACKBONE}, {NECK}, {TRUNK}", f"{BACKBONE}, {NECK}"),
    "cascade-mask-rcnn_r50_fpn": (f"{BACKBONE}, {NECK}",) * 2,
    "sparse-rcnn_r50_fpn": (f"{BACKBONE}, {NECK}",) * 2,
    "retinanet_r50_fpn": (f"{BACKBONE}, {SHIFTED}",) * 2,
    "fcos_r50_fpn": (f"{BACKBONE}, {SHIFTED}",) * 2,
    "dino-4scale_r50": (BACKBONE, BACKBONE),
}
# Made for one method, random or torchvision's weights: test_transfer.py
OF_ONE_INIT = ("_soco", "_ccop", "_backbone", "_random", "_supervised")
TRANSFER = sorted(
    str(path.relative_to(CONFIGS / "transfer"))
    for path in (CONFIGS / "transfer").glob("[!_]*/*.py")
    if not path.stem.endswith(OF_ONE_INIT)
)


# One run of each kind of data, and of those the shortest
FAST = ("coco/retinanet_r50_fpn_12k", "coco/dino", "cityscapes", "lvis")
IMAGES = 4  # of each split
INIT_ANY = "transfer/_base_/init/any.py"
# What an evaluation must have measured
METRICS = {
    "coco": "coco/bbox_mAP",
    "voc": "pascal_voc/mAP",
    "cityscapes": "cityscapes/mAP",
    "lvis": "lvis/bbox_AP",
}


def detector_of(config):
    return max((key for key in FILLED if Path(config).stem.startswith(key)), key=len)


def expected(config, method):
    """What the log says that this detector gets from this method."""
    detector = detector_of(config)
    soco, ccop = FILLED[detector]
    plain = C4 if "-c4" in detector else BACKBONE
    return dict(soco=soco, ccop=ccop).get(method, plain)


@cache
def shapes(method, base_channels=64):
    """The state dict of a method's model, ResNet-50 of this width, on the meta device."""
    register_all_modules(init_default_scope=False)
    cfg = Config.fromfile(CONFIGS / METHODS[method])
    cfg.model.backbone.base_channels = base_channels
    if method in ("soco", "ccop"):
        cfg.model.neck.in_channels = [4 * base_channels << level for level in range(4)]
    with torch.device("meta"), DefaultScope.overwrite_default_scope("mmregioncon"):
        return MODELS.build(cfg.model).state_dict()


@cache
def pretrained(method, base_channels):
    """The same with values of its own."""
    state = shapes(method, base_channels)
    return {key: filled(key, value) for key, value in state.items()}


def filled(key, value):
    """A tensor such as training could have left there; the teacher and queues stay empty."""
    if not key.startswith(("backbone.", "neck.", "roi_head.")):
        return torch.zeros(1)
    if value.ndim < 2:
        ones = key.endswith(("running_var", "weight"))
        return torch.full(value.shape, float(ones)).to(value.dtype)
    return torch.randn(value.shape) * (2 / value[0].numel()) ** 0.5


class Loop(BaseLoop):
    """Stands for the loop of a runner that trains."""

    def __init__(self):
        pass

    def run(self):
        pass


def stand_in(model):
    """What the hook reads of a runner that trains, and the lines that it logs."""
    lines, logger = [], logging.Logger("test")
    logger.addFilter(lambda record: lines.append(record.getMessage()))
    runner = SimpleNamespace(
        model=model, logger=logger, _load_from="x.pth", _resume=False, _train_loop=Loop()
    )
    return runner, lines


def report_on(model, cfg, state):
    """Lines that the config's hook logs when a detector gets this checkpoint."""
    runner, lines = stand_in(model)
    (hook,) = (HOOKS.build(one) for one in cfg.custom_hooks)
    hook.after_load_checkpoint(runner, dict(state_dict=dict(state)))
    return lines


@pytest.mark.parametrize("detector", FILLED)
def test_what_each_method_fills(detector):
    config = next(config for config in TRANSFER if detector_of(config) == detector)
    cfg = load(config)
    with torch.device("meta"), DefaultScope.overwrite_default_scope("mmdet"):
        model = MODELS.build(cfg.model)
    for method in METHODS:
        lines = report_on(model, cfg, shapes(method))
        assert lines[0] == f"Loading from x.pth: {expected(config, method)}", method


def test_levels_of_a_checkpoint_that_starts_at_p3_stay():
    """A trained RetinaNet's FPN is not moved down."""
    cfg = load("coco/retinanet_r50_fpn_12k_coco.py")
    with torch.device("meta"), DefaultScope.overwrite_default_scope("mmdet"):
        model = MODELS.build(cfg.model)
    state = {k: v for k, v in model.state_dict().items() if not k.startswith("bbox_head.")}
    runner, _ = stand_in(model)
    (hook,) = (HOOKS.build(one) for one in cfg.custom_hooks)
    given = dict(state)
    hook.after_load_checkpoint(runner, dict(state_dict=given))
    for level in range(3):
        key = f"neck.fpn_convs.{level}.conv.weight"
        assert given[key] is state[key]


@pytest.mark.parametrize("data", ["demo", "custom"])
def test_small_detectors_take_the_same_checkpoints(data):
    small = Config.fromfile(CONFIGS / f"{data}/faster-rcnn_r18-fpn_{data}_any.py")
    assert small.custom_hooks == Config.fromfile(CONFIGS / INIT_ANY).custom_hooks


def load(config):
    """A transfer config, checked as tools/train.py checks it."""
    register_all_modules(init_default_scope=False)
    cfg = Config.fromfile(CONFIGS / "transfer" / config)
    check_top_level(cfg)
    return cfg


def paths(node, key, path=""):
    """Dotted paths of a key below a node."""
    items = node.items() if hasattr(node, "items") else enumerate(node)
    for name, value in items:
        here = f"{path}.{name}".lstrip(".")
        if name == key:
            yield here
        if hasattr(value, "items") or isinstance(value, (list, tuple)):
            yield from paths(value, key, here)


SMALL_DATA = {
    "scale": (64, 64),
    "scales": [(64, 64)],
    "crop_size": (48, 48),
    "num_workers": 0,
    "persistent_workers": False,
}
SMALL_MODEL = {
    "nms_pre": 50,
    "max_per_img": 8,
    "num_proposals": 8,
    "num_queries": 8,
    "num_layers": 1,
    "score_thr": 0.0,
}


def shrink_options(cfg, root):
    """``--cfg-options`` that make a config small enough for a test."""
    options = {"train_dataloader.batch_size": 2, "default_hooks.logger.interval": 1}
    for part, small in (
        ("train_dataloader", SMALL_DATA | {"data_root": str(root)}),
        ("val_dataloader", SMALL_DATA | {"data_root": str(root)}),
        ("model", SMALL_MODEL),
    ):
        for key, value in small.items():
            options |= {f"{part}.{path}": value for path in paths(cfg[part], key)}
    for path in paths(cfg.train_dataloader, "type"):
        if get(cfg.train_dataloader, path) == "RandomResize":  # its scale is a range
            options[f"train_dataloader.{path.removesuffix('type')}scale"] = [(64, 64), (64, 64)]
    for path in paths(cfg.model, "sampler"):
        if "num" in get(cfg.model, path):
            options[f"model.{path}.num"] = 8
    if not is_c4(cfg.filename):
        widths = [32, 64, 128, 256][-len(cfg.model.neck.in_channels) :]
        options |= {"model.backbone.base_channels": 8, "model.neck.in_channels": widths}
    if "max_iters" in cfg.train_cfg:
        options |= {"train_cfg.max_iters": 2, "train_cfg.val_interval": 2}
    else:
        options["train_cfg.max_epochs"] = 1
    for key in ("ann_file", "seg_prefix", "outfile_prefix"):
        for path in paths({"val_evaluator": cfg.val_evaluator}, key):
            below = str(get(cfg, path)).split("/", 2)[2]  # of data/NAME/...
            options[path] = str(root / below)
    return options


def is_c4(config):
    return "-c4" in Path(config).stem


def get(node, path):
    for key in path.split("."):
        node = node[int(key)] if isinstance(node, (list, tuple)) else node[key]
    return node


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Roots of the data sets, by the folder of configs that use them."""
    roots = {name: tmp_path_factory.mktemp(name) for name in WRITERS}
    for name, write in WRITERS.items():
        write(roots[name], IMAGES)
    return roots


@pytest.fixture
def unformatted_configs(monkeypatch):
    """Runner logs and dumps its config; to lay that out takes longer than the training."""
    monkeypatch.setattr(Config, "pretty_text", property(lambda cfg: ""))


def fine_tune(config, method, data, tmp_path):
    """Two steps and one evaluation from a method's checkpoint; the runner and its log."""
    cfg = load(config)
    checkpoint = tmp_path / "epoch_1.pth"
    torch.save(dict(state_dict=pretrained(method, 64 if is_c4(config) else 8)), checkpoint)
    options = shrink_options(cfg, data[Path(config).parts[0]])
    options |= {"load_from": str(checkpoint), "work_dir": str(tmp_path / "work")}
    options |= {"default_hooks.checkpoint.save_last": False, "randomness.seed": 0}
    check_options(cfg, options)
    cfg.merge_from_dict(options)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner, Path(runner.log_dir, f"{runner.timestamp}.log").read_text()


def runs():
    """Each config, from each method in turn; what takes long or is alike is slow."""
    for i, config in enumerate(TRANSFER):
        # soco-c4: a shared head has but one width, so only a whole C4 detector takes it
        methods = list(METHODS) if is_c4(config) else list(METHODS)[:-1]
        slow = () if config.startswith(FAST) else pytest.mark.slow
        yield pytest.param(config, methods[i % len(methods)], marks=slow)


@pytest.mark.usefixtures("unformatted_configs")
@pytest.mark.parametrize("config, method", runs())
def test_two_steps_and_an_evaluation(config, method, data, tmp_path):
    runner, log = fine_tune(config, method, data, tmp_path)
    assert runner.iter >= 2
    assert f"epoch_1.pth: {expected(config, method)}" in log
    losses = [float(loss) for loss in re.findall(r" loss: (\S+)", log)]
    assert len(losses) >= 2 and all(0 < loss < 1000 for loss in losses)
    metric = METRICS[Path(config).parts[0]]
    measured = float(re.search(rf"{metric}: (\S+)", log)[1])
    assert 0 <= measured <= 1
    assert len(runner.val_dataloader.dataset) == IMAGES and f"[{IMAGES}/{IMAGES}]" in log
