"""Each original format to ours and back, by synthetic checkpoints with the originals' keys."""

import json
import runpy
from pathlib import Path

import pytest
import torch
from mmdet.models.backbones import ResNet
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmregioncon.converters import (
    CheckpointError,
    DetectorModules,
    detect_source,
    find_tensors,
    from_detector,
    to_detector,
)
from mmregioncon.converters.naming import Template
from mmregioncon.engine.hooks.load_report import match_module

from . import reference

ROOT = Path(__file__).parents[2]
BACKBONE, NECK, HEAD = 318, 48, 26  # keys of R50, FPN with BN, 4conv1fc trunk, counters included

# What makes the checkpoint, the format found, keys of ours, and how many counters it lacks.
FORMATS = {
    "soco": (reference.soco, "soco", BACKBONE + NECK + HEAD, 0),
    "soco-detectron2": (reference.soco_detectron2, "soco-detectron2", 392, 53 + 8 + 4),
    "detco": (reference.detco, "soco-detectron2-c4", BACKBONE, 53),
    "plrc": (reference.plrc, "plrc", BACKBONE, 0),
    "ccop": (reference.ccop, "ccop", BACKBONE + NECK, 0),
    "mocov2": (reference.mocov2, "mocov2", BACKBONE, 0),
    "densecl": (reference.densecl, "torchvision", BACKBONE, 0),
    "densecl, backbone.": (reference.densecl_prefixed, "mmregioncon", BACKBONE, 0),
    "torchvision": (reference.torchvision_resnet, "torchvision", BACKBONE, 0),
}
TARGETS = {
    "mmregioncon": "soco",
    "mmregioncon-c4": "detco",
    "detectron2-c4": "detco",
    "detectron2-fpn": "ccop",
    "detectron2-head": "soco",
    "torchvision": "mocov2",
    "timm": "plrc",
}


@pytest.fixture(scope="module")
def make():
    """Checkpoints by name, each made once."""
    made = {}

    def get(name):
        if name not in made:
            with torch.device("meta"):
                made[name] = find_tensors(FORMATS[name][0](), name)
        return made[name]

    return get


@pytest.fixture(scope="module")
def detector_shapes():
    """Keys and shapes of the detector that the paper's transfer config builds."""
    cfg = Config.fromfile(ROOT / "configs/transfer/coco/mask-rcnn_r50_fpn_1x_coco_soco.py")
    with torch.device("meta"), DefaultScope.overwrite_default_scope("mmdet"):
        return MODELS.build(cfg.model).state_dict()


@pytest.mark.parametrize("name", FORMATS)
def test_original_becomes_a_detectors_checkpoint(name, make, detector_shapes):
    _, source, total, counters = FORMATS[name]
    tensors = make(name)
    assert detect_source(tensors, name) == source
    result = to_detector(tensors, name)
    assert len(result.state) == total and result.filled == counters
    assert not result.unknown and not result.missing
    matches = [
        match_module(detector_shapes, result.state, prefix)
        for prefix in ("backbone.", "neck.", "roi_head.bbox_head.shared_")
    ]
    assert sum(len(match.loaded) for match in matches) == total
    assert not any(match.unused or match.other_shape for match in matches)
    assert len(result.state) - counters + sum(result.dropped.values()) == len(tensors)


@pytest.mark.parametrize(
    "name, theirs, ours",
    [
        ("soco", "encoder.layer4.2.bn3.running_var", "backbone.layer4.2.bn3.running_var"),
        ("soco", "neck.fpn_convs.3.bn.bias", "neck.fpn_convs.3.bn.bias"),
        ("soco", "head.bn4.weight", "roi_head.bbox_head.shared_convs.3.bn.weight"),
        ("soco", "head.fc1.weight", "roi_head.bbox_head.shared_fcs.0.weight"),
        ("soco-detectron2", "fpn_lateral2.weight", "neck.lateral_convs.0.conv.weight"),
        ("soco-detectron2", "fpn_output5.norm.bias", "neck.fpn_convs.3.bn.bias"),
        (
            "soco-detectron2",
            "box_head.conv4.norm.running_mean",
            "roi_head.bbox_head.shared_convs.3.bn.running_mean",
        ),
        ("detco", "stem.conv1.norm.weight", "backbone.bn1.weight"),
        ("detco", "res2.0.shortcut.norm.bias", "backbone.layer1.0.downsample.1.bias"),
        ("detco", "res5.2.conv3.weight", "backbone.layer4.2.conv3.weight"),
        ("plrc", "encoder_q.enc.layer1.0.downsample.0.weight", None),
        ("ccop", "backbone_q.fpn_lateral5.norm.weight", "neck.lateral_convs.3.bn.weight"),
        ("mocov2", "encoder_q.layer3.5.conv2.weight", "backbone.layer3.5.conv2.weight"),
    ],
)
def test_values_go_to_their_place(name, theirs, ours, make):
    tensors = make(name)
    state = to_detector(tensors, name).state
    ours = ours or "backbone.layer1.0.downsample.0.weight"
    assert torch.equal(state[ours], tensors[theirs])


@pytest.mark.parametrize(
    "config, total",
    [
        ("faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py", BACKBONE + 16 + 4),
        ("mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco.py", BACKBONE),
    ],
)
def test_a_trained_detector_of_mmdet(config, total):
    cfg = Config.fromstring(f"_base_ = 'mmdet::{config}'", ".py")
    with torch.device("meta"), DefaultScope.overwrite_default_scope("mmdet"):
        state = MODELS.build(cfg.model).state_dict()
    result = to_detector(state, config)
    assert len(result.state) == total
    assert result.dropped == {"other parts of a detector": len(state) - total}


@pytest.mark.parametrize("target, name", [("detectron2-c4", "detco"), ("detectron2-head", "soco")])
def test_a_trained_detector_of_detectron2(target, name, make):
    whole, _ = from_detector(to_detector(make(name), name), target, name)
    rest = (
        "proposal_generator.rpn_head.conv.weight",
        "proposal_generator.anchor_generator.cell_anchors.0",
        "roi_heads.box_predictor.cls_score.weight",
        "roi_heads.mask_head.deconv.weight",
        "pixel_mean",
        "pixel_std",
    )
    result = to_detector({**whole, **dict.fromkeys(rest, torch.zeros(1))}, "model_final.pkl")
    assert result.dropped == {"other parts of a detector": len(rest)}
    assert len(result.state) - result.filled == len(whole)


@pytest.mark.parametrize("target, name", TARGETS.items())
def test_round_trip_through_each_target(target, name, make):
    ours = to_detector(make(name), name)
    theirs, left_out = from_detector(ours, target, name)
    back = to_detector(theirs, target).state
    kept = {k: v for k, v in ours.state.items() if k.split(".")[0] not in left_out}
    assert back.keys() == kept.keys()
    assert all(torch.equal(back[key], kept[key]) for key in kept if "num_batches" not in key)


def test_originals_with_detectron2s_names_come_back_with_a_detectors_prefixes(make):
    original = make("soco-detectron2")
    theirs, _ = from_detector(to_detector(original, "x"), "detectron2-head", "x")

    def prefixed(key):
        if key.startswith("box_head"):
            return f"roi_heads.{key}"
        return f"backbone.{key}" if key.startswith("fpn_") else f"backbone.bottom_up.{key}"

    assert theirs.keys() == {prefixed(key) for key in original}
    assert all(torch.equal(theirs[prefixed(key)], original[key]) for key in original)


def test_names_of_a_c4_detector(make):
    ours = to_detector(make("detco"), "x")
    mmdet, _ = from_detector(ours, "mmregioncon-c4", "x")
    d2, _ = from_detector(ours, "detectron2-c4", "x")
    assert "roi_head.shared_head.layer4.2.conv3.weight" in mmdet
    assert {"roi_heads.res5.2.conv3.norm.weight", "backbone.res4.0.conv1.weight"} <= d2.keys()
    assert not any(key.startswith(("backbone.layer4", "backbone.res5")) for key in [*mmdet, *d2])


def test_target_that_needs_more_than_there_is(make):
    ours = to_detector(make("plrc"), "plrc.pth")
    with pytest.raises(CheckpointError, match=r"plrc\.pth: has no neck, which detectron2-fpn"):
        from_detector(ours, "detectron2-fpn", "plrc.pth")


@pytest.fixture(scope="module")
def random_d2():
    """detectron2's detector with random weights and statistics."""
    torch.manual_seed(0)
    detector = reference.d2_detector()
    for module in detector.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
            torch.nn.init.normal_(module.bias, std=0.1)
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    return detector


@pytest.fixture(scope="module")
def converted(random_d2):
    """The same as mmdet's modules, converted as SoCo's detectron2 file is."""
    state = reference.keys(random_d2.backbone.bottom_up)
    state |= {k: v for k, v in random_d2.backbone.state_dict().items() if k.startswith("fpn_")}
    state |= reference.keys(random_d2.roi_heads.box_head, "box_head.")
    result = to_detector(reference.without_counters(state), "random")
    modules = DetectorModules(**result.modules)
    modules.load_state_dict(result.state)
    return result, modules.eval()


IMAGES = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def assert_close(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        assert b.std() > 0.01  # of something, not of zeros
        assert (a - b).abs().max() < 1e-4


@torch.no_grad()
def test_converted_from_detectron2_computes_the_same(random_d2, converted):
    _, modules = converted
    assert_close(modules.backbone(IMAGES), random_d2.backbone.bottom_up(IMAGES))
    assert_close(modules(IMAGES), random_d2.backbone(IMAGES))
    rois = torch.randn(3, 256, 7, 7, generator=torch.Generator().manual_seed(2))
    head = random_d2.roi_heads.box_head
    assert_close([modules.roi_head["bbox_head"](rois)], [head(rois)])


@torch.no_grad()
def test_converted_to_detectron2_computes_the_same(random_d2, converted):
    result, modules = converted
    theirs, _ = from_detector(result, "detectron2-head", "x")
    fresh = reference.d2_detector()
    lacking = fresh.load_state_dict(theirs, strict=False)
    assert not lacking.unexpected_keys
    assert all(key.endswith("num_batches_tracked") for key in lacking.missing_keys)
    assert_close(fresh.backbone(IMAGES), modules(IMAGES))


@torch.no_grad()
def test_torchvision_computes_the_same_both_ways(converted):
    result, modules = converted
    state, _ = from_detector(result, "torchvision", "x")
    model = reference.torch_resnet50().eval()
    model.load_state_dict(state)
    x = model.maxpool(model.relu(model.bn1(model.conv1(IMAGES))))
    feats = []
    for layer in (model.layer1, model.layer2, model.layer3, model.layer4):
        x = layer(x)
        feats.append(x)
    assert_close(modules.backbone(IMAGES), feats)

    back = ResNet(50)
    back.eval()
    state = to_detector(model.state_dict(), "torchvision").state
    back.load_state_dict({k.removeprefix("backbone."): v for k, v in state.items()})
    assert_close(back(IMAGES), feats)


def tiny(depth=18, **neck):
    """State dict of a small ResNet with our names, and of an FPN if asked for."""
    backbone = dict(depth=depth, base_channels=8)
    return DetectorModules(backbone, **neck).state_dict()


@pytest.mark.parametrize("depth", [18, 34, 101])
def test_depth_is_found(depth):
    with torch.device("meta"):
        state = tiny(depth)
    assert to_detector(state, "x").modules["backbone"] == dict(depth=depth, base_channels=8)


def test_fpn_without_norm_is_found():
    neck = dict(in_channels=[8, 16, 32, 64], out_channels=16, num_outs=4)
    state = tiny(neck=neck)
    assert len(to_detector(state, "x").state) == 120 + 16
    theirs, _ = from_detector(to_detector(state, "x"), "detectron2-fpn", "x")
    assert torch.equal(theirs["backbone.fpn_output3.bias"], state["neck.fpn_convs.1.conv.bias"])


def drop(state, *names):
    return {key: value for key, value in state.items() if key not in names}


BAD = {
    "unknown key": (
        lambda s: {**s, "bbox_head.retina_cls.weight": torch.ones(1)},
        r"file\.pth \(MMRegionCon or mmdet\): 1 unknown keys and 0 missing ones\n"
        r"  unknown: bbox_head\.retina_cls\.weight\n.*--source.*--allow-partial",
    ),
    "missing keys": (
        lambda s: drop(s, "backbone.layer2.0.conv1.weight", "backbone.bn1.bias"),
        r"0 unknown keys and 2 missing ones\n  missing: backbone\.bn1\.bias\n  missing: ",
    ),
    "a block more than any such ResNet": (
        lambda s: {**s, "backbone.layer1.9.conv1.weight": torch.ones(1)},
        r"no ResNet has \[10, 2, 2, 2\] basic blocks",
    ),
    "last block missing": (
        lambda s: {k: v for k, v in s.items() if not k.startswith("backbone.layer4.1.")},
        "0 unknown keys and 12 missing ones",
    ),
    "layer that ResNets do not have": (
        lambda s: {**s, "backbone.layer2.1.downsample.0.weight": torch.ones(1)},
        r"1 unknown keys and 0 missing ones\n  unknown: backbone\.layer2\.1\.downsample",
    ),
    "other shape": (
        lambda s: {**s, "backbone.bn1.bias": torch.ones(3)},
        r"1 shapes differ\n  backbone\.bn1\.bias: \(3,\), expected \(8,\)",
    ),
    "not a detector's": (
        lambda s: {f"blocks.{k}": v for k, v in s.items()},
        r"file\.pth: of no known format; its first keys are blocks\.backbone.*--source",
    ),
    "one parameter twice": (
        lambda s: {**s, "roi_head.shared_head.layer4.0.bn1.bias": torch.ones(64)},
        r"backbone\.layer4\.0\.bn1\.bias and roi_head\.shared_head\.layer4\.0\.bn1\.bias are both",
    ),
}


@pytest.mark.parametrize("change, message", BAD.values(), ids=BAD.keys())
def test_bad_checkpoints_are_refused_by_key(change, message):
    with pytest.raises(CheckpointError, match=f"(?s){message}"):
        to_detector(change(tiny()), "file.pth")


def test_partial_is_allowed_when_asked_for():
    state = {**drop(tiny(), "backbone.bn1.bias"), "bbox_head.x": torch.ones(1)}
    result = to_detector(state, "x", allow_partial=True)
    assert result.unknown == ["bbox_head.x"] and result.missing == ["backbone.bn1.bias"]
    assert len(result.state) == 119
    assert "missing: backbone.bn1.bias" in str(result)


def test_a_wrong_source_recognises_nothing():
    with pytest.raises(CheckpointError, match="120 unknown keys and 392 missing|120 unknown"):
        to_detector(tiny(), "x", source="soco")
    with pytest.raises(CheckpointError, match="nothing in it is of a detector"):
        to_detector(tiny(), "x", source="soco", allow_partial=True)


@pytest.mark.parametrize(
    "text, key, values",
    [
        ("a{n+2}.{p}", "a5.weight", dict(n="3", p="weight")),
        ("a{n+2}.{p}", "a5.weights", None),
        ("a.{s}.{b}", "aX1.2", None),
        ("{fpn}.{p}", "fpn_convs.10.bn.bias", dict(fpn="fpn_convs.10.bn", p="bias")),
    ],
)
def test_templates(text, key, values):
    assert Template(text).parse(key) == values
    if values:
        assert Template(text).format(values) == key


@pytest.fixture(scope="module")
def tool():
    """``main`` of tools/model_converters/convert.py."""
    return runpy.run_path(str(ROOT / "tools/model_converters/convert.py"))["main"]


def test_tool_converts_socos_file(tool, tmp_path, capsys):
    with torch.device("meta"):
        checkpoint = reference.soco()
    original, out, report = (tmp_path / name for name in ("ckpt_epoch_400.pth", "o.pth", "r.json"))
    torch.save(checkpoint, original)
    assert tool([str(original), str(out), "--json", str(report)]) == 0
    printed = capsys.readouterr().out
    assert "ResNet-50, FPN of 256 channels, box head 4conv1fc; 392 tensors" in printed
    assert "dropped, momentum copies: 401" in printed
    saved = torch.load(out, weights_only=True)
    assert saved["meta"]["converted_from"] == "ckpt_epoch_400.pth"
    theirs = checkpoint["model"]["module.head.fc1.bias"]
    assert torch.equal(saved["state_dict"]["roi_head.bbox_head.shared_fcs.0.bias"], theirs)
    assert json.loads(report.read_text())["dropped"] == {
        "momentum copies": 401,
        "projector and predictor": 18,
    }


@pytest.mark.parametrize("suffix", [".pkl", ".safetensors"])
def test_tool_to_detectron2_and_back(suffix, tool, tmp_path):
    neck = dict(in_channels=[8, 16, 32, 64], out_channels=16, num_outs=4, norm_cfg=dict(type="BN"))
    state = tiny(neck=neck)
    files = [str(tmp_path / name) for name in ("ours.pth", f"theirs{suffix}", "back.pth")]
    torch.save(dict(state_dict=state), files[0])
    assert tool([files[0], files[1], "--target", "detectron2-fpn"]) == 0
    assert tool([files[1], files[2]]) == 0
    back = torch.load(files[2], weights_only=True)["state_dict"]
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], state[key]) for key in state)


def test_tool_stops_before_writing(tool, tmp_path, capsys):
    torch.save({**tiny(), "extra": torch.ones(1)}, tmp_path / "in.pth")
    command = [str(tmp_path / "in.pth"), str(tmp_path / "out.pth")]
    assert tool(command) == 1
    assert "  unknown: extra\n" in capsys.readouterr().err
    assert not (tmp_path / "out.pth").exists()
    assert tool([*command, "--allow-partial"]) == 0
    assert "left out, unknown: extra" in capsys.readouterr().out


def test_tool_refuses_a_suffix_that_does_not_fit(tool, capsys):
    with pytest.raises(SystemExit):
        tool(["in.pth", "out.pth", "--target", "detectron2-c4"])
    assert "detectron2-c4 is written to .pkl or .safetensors" in capsys.readouterr().err
