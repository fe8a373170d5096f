"""Publishing: what is kept, what is said of it, and that mmdet loads it whole."""

import hashlib
import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import load_checkpoint

from mmregioncon.apis import load_pretrained
from mmregioncon.converters import CheckpointError
from mmregioncon.converters import publish as publishing
from mmregioncon.converters.publish import detector_part, publish
from mmregioncon.utils import register_all_modules

ROOT = Path(__file__).parents[2]
SMALL = """
_base_ = {base!r}
model = dict(
    backbone=dict(base_channels=8),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=16),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=16),
        bbox_head=dict(in_channels=16, conv_out_channels=16, fc_out_channels=32),
    ),
    {more}
)
"""
PROJECTIONS = """
    projector=dict(in_channels=32, hid_channels=16, out_channels=8),
    predictor=dict(in_channels=8, hid_channels=16, out_channels=8),
"""


def build(config, scope):
    register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(Config.fromfile(config).model)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small SoCo's config and checkpoint, and the config of a detector of the same modules."""
    folder = tmp_path_factory.mktemp("run")
    for name, more in (("soco_r18-fpn_demo", PROJECTIONS), ("faster-rcnn_r18-fpn_demo", "")):
        base = str(ROOT / f"configs/demo/{name}.py")
        rpn = "" if more else "rpn_head=dict(in_channels=16, feat_channels=16),"
        (folder / f"{name}.py").write_text(SMALL.format(base=base, more=more or rpn))
    torch.manual_seed(0)
    model = build(folder / "soco_r18-fpn_demo.py", "mmregioncon")
    hub = MessageHub.get_instance("publish")  # as Runner saves it
    hub.update_scalar("train/loss", np.float32(0.5))
    hub.update_info("iter", np.int64(500))
    checkpoint = dict(
        meta=dict(epoch=10, iter=500, cfg="", seed=0),
        state_dict=model.state_dict(),
        optimizer=dict(state={0: torch.ones(9)}),
        message_hub=hub.state_dict(),
    )
    torch.save(checkpoint, folder / "epoch_10.pth")
    return folder


def published(run, out, **options):
    return publish(run / "epoch_10.pth", run / "soco_r18-fpn_demo.py", out, **options)


def test_published_file_holds_a_detectors_part_and_meta(run, tmp_path):
    file, meta = published(run, tmp_path, data="800 drawn pictures")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert file.name == f"soco_r18-fpn_demo-{digest[:8]}.pth"
    content = torch.load(file, weights_only=True)
    assert content.keys() == {"state_dict", "meta"} and content["meta"] == meta
    assert {key.split(".")[0] for key in content["state_dict"]} == {"backbone", "neck", "roi_head"}
    expected = dict(
        method="SoCo",
        config="soco_r18-fpn_demo.py",
        data="800 drawn pictures",
        epochs=10,
        iterations=500,
        precision="float32",
    )
    assert expected.items() <= meta.items()
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", meta["git_commit"])
    assert published(run, tmp_path, data="800 drawn pictures")[0] == file  # same bytes, same name


@pytest.mark.parametrize("half", [False, True])
def test_mmdet_loads_the_published_file_whole(half, run, tmp_path):
    file, _ = published(run, tmp_path, half=half)
    detector = build(run / "faster-rcnn_r18-fpn_demo.py", "mmdet")
    before = {key: value.clone() for key, value in detector.state_dict().items()}
    load_checkpoint(detector, str(file), strict=False)
    after, trained = (
        detector.state_dict(),
        torch.load(run / "epoch_10.pth", weights_only=True)["state_dict"],
    )
    state = torch.load(file, weights_only=True)["state_dict"]
    assert state.keys() <= after.keys() and len(state) == 182
    for key, value in after.items():
        assert value.dtype == before[key].dtype
        expected = trained[key] if key in state else before[key]
        torch.testing.assert_close(value, expected, rtol=1e-3 if half else 0, atol=1e-5)
    own = {k for k in after if k not in state}
    assert {k.split(".")[-2] for k in own} == {"rpn_conv", "rpn_cls", "rpn_reg", "fc_cls", "fc_reg"}


def test_half_precision_halves_the_file_and_keeps_vectors(run, tmp_path):
    whole, _ = published(run, tmp_path)
    half, meta = published(run, tmp_path, half=True)
    assert meta["precision"] == "float16"
    assert half.stat().st_size < 0.7 * whole.stat().st_size  # keys weigh much in a small model
    state = torch.load(half, weights_only=True)["state_dict"]
    assert state["backbone.conv1.weight"].dtype == torch.float16
    assert state["backbone.bn1.running_var"].dtype == torch.float32


def test_safetensors_holds_the_same(run, tmp_path):
    file, meta = published(run, tmp_path, suffix=".safetensors")
    model = load_pretrained(file)
    trained = torch.load(run / "epoch_10.pth", weights_only=True)["state_dict"]
    assert all(torch.equal(value, trained[key]) for key, value in model.state_dict().items())
    from safetensors import safe_open

    with safe_open(file, "pt") as opened:
        assert json.loads(opened.metadata()["mmregioncon"]) == meta


@pytest.mark.parametrize(
    "name, parts",
    [
        ("soco_r18-fpn", {"backbone", "neck", "roi_head"}),
        ("ccop_r18-fpn", {"backbone", "neck"}),
        ("detco_r18", {"backbone"}),
        ("plrc_r18", {"backbone"}),
        ("mocov2_r18", {"backbone"}),
        ("densecl_r18", {"backbone"}),
    ],
)
def test_what_a_method_gives_a_detector(name, parts):
    with torch.device("meta"):
        state = build(ROOT / f"configs/demo/{name}_demo.py", "mmregioncon").state_dict()
    assert {key.split(".")[0] for key in detector_part(state)} == parts


def test_checkpoint_of_another_config_is_refused(run, tmp_path):
    with pytest.raises(CheckpointError, match=r"not a checkpoint of .*soco_r18-fpn_demo\.py: \d+"):
        publish(run / "epoch_10.pth", ROOT / "configs/demo/soco_r18-fpn_demo.py", tmp_path)
    assert not list(tmp_path.iterdir())


WRONG = [
    (float("nan"), False, "has values that are not finite"),
    (float("inf"), True, "has values that are not finite"),
    (1e6, True, "is beyond float16: publish it without --half"),
]


@pytest.mark.parametrize("value, half, message", WRONG)
def test_values_that_cannot_be_published(value, half, message, run, tmp_path):
    content = torch.load(run / "epoch_10.pth", weights_only=True)
    content["state_dict"]["backbone.conv1.weight"][0, 0, 0, 0] = value
    torch.save(content, tmp_path / "bad.pth")
    with pytest.raises(CheckpointError, match=f"backbone.conv1.weight {message}"):
        publish(tmp_path / "bad.pth", run / "soco_r18-fpn_demo.py", tmp_path / "out", half=half)


def test_tool(run, tmp_path, capsys):
    main = runpy.run_path(str(ROOT / "tools/model_converters/publish_model.py"))["main"]
    config = str(run / "soco_r18-fpn_demo.py")
    report = tmp_path / "report.json"
    command = [str(run / "epoch_10.pth"), config, str(tmp_path), "--half", "--json", str(report)]
    assert main(command) == 0
    written = json.loads(report.read_text())
    assert Path(written["file"]).stat().st_size == written["bytes"]
    assert written["data"] == "data/demo/regions.arrow"
    assert main(["gone.pth", config, str(tmp_path)]) == 1
    assert "gone.pth: no such file" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main([*command[:2], str(tmp_path / "file/out")]) == 1
    assert "file" in capsys.readouterr().err


def test_commit_of_another_repository_is_not_ours(monkeypatch):
    monkeypatch.setattr(publishing, "ROOT", ROOT / "mmregioncon")  # as if installed in a project
    assert publishing._git_commit() == "unknown"
