"""Listing models and loading them by name, file or URL."""

import hashlib
import logging
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, DefaultScope

from mmregioncon.apis import list_models, load_pretrained, model_index, model_zoo
from mmregioncon.converters import DetectorModules, from_detector, to_detector

ROOT = Path(__file__).parents[2]
FPN = dict(in_channels=[8, 16, 32, 64], out_channels=16, num_outs=4, norm_cfg=dict(type="BN"))
HEAD = dict(num_shared_convs=2, in_channels=16, conv_out_channels=16, fc_out_channels=32)
HEAD["norm_cfg"] = dict(type="BN")
METAFILE = """
Collections: [{{Name: SoCo}}]
Models:
  - Name: soco_tiny
    In Collection: SoCo
    Config: configs/soco_tiny.py
    Metadata: {{Epochs: 3, Training Data: demo}}
    Weights: {weights}
    Results: [{{Task: Object Detection, Dataset: demo, Metrics: {{box AP: 4.5}}}}]
  - Name: soco_large
    In Collection: SoCo
    Config: configs/soco_large.py
"""


@pytest.fixture(scope="module")
def modules():
    torch.manual_seed(0)
    return DetectorModules(dict(depth=18, base_channels=8), FPN, HEAD).eval()


class Recorder(logging.Handler):
    def __init__(self):
        super().__init__(logging.INFO)
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


@pytest.fixture
def told():
    """What MMEngine's logger says meanwhile."""
    recorder, logger = Recorder(), MMLogger.get_current_instance()
    logger.addHandler(recorder)
    yield recorder.lines
    logger.removeHandler(recorder)


@pytest.fixture
def index(modules, tmp_path, monkeypatch):
    """An installed wheel whose index lists one model with weights and one without."""
    package = tmp_path / "site-packages/mmregioncon"
    mim = package / ".mim"
    (mim / "configs").mkdir(parents=True)
    torch.save(dict(state_dict=modules.state_dict()), mim / "w.pth")
    digest = hashlib.sha256((mim / "w.pth").read_bytes()).hexdigest()[:8]
    weights = f"soco_tiny-{digest}.pth"
    (mim / "w.pth").rename(mim / weights)
    (mim / "configs/metafile.yml").write_text(METAFILE.format(weights=weights))
    (mim / "model-index.yml").write_text("Import: [configs/metafile.yml]\n")
    monkeypatch.setattr(model_zoo, "PACKAGE", package)
    model_index.cache_clear()
    yield mim / weights
    model_index.cache_clear()


def test_models_of_the_source_tree_are_listed():
    names = list_models()
    assert "soco_r50-fpn_8xb256-amp-coslr-100e_in1k" in names and names == sorted(names)
    assert list_models("plrc*") == [name for name in names if name.startswith("plrc")]
    assert all(model_index()[name].config.is_file() for name in names)


def test_models_of_a_wheel_are_listed(index):
    assert list_models() == ["soco_large", "soco_tiny"]
    assert list_models(released=True) == ["soco_tiny"]
    model = model_index()["soco_tiny"]
    assert (model.method, model.weights) == ("SoCo", str(index))
    assert model.metadata["Epochs"] == 3
    assert model.results[0]["Metrics"]["box AP"] == 4.5


def test_a_name_loads_its_weights(index, modules):
    model = load_pretrained("soco_tiny")
    images = torch.randn(1, 3, 64, 64)
    assert not model.training
    assert all(torch.equal(a, b) for a, b in zip(model(images), modules(images), strict=True))


def test_a_url_is_fetched_once_and_checked(index, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    url = f"file://{index}"
    first = load_pretrained(url).state_dict()
    kept = tmp_path / "hub/checkpoints" / index.name
    kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(ValueError, match=rf"{index.name}: changed or cut off.*: delete it"):
        load_pretrained(url)
    assert "neck.fpn_convs.0.bn.weight" in first


@pytest.mark.parametrize("name", ["soco-400.pth", "soco-e10.pth", "r50-fade.pth", "x-.pth"])
def test_a_name_that_tells_no_hash(name, tmp_path):
    (tmp_path / name).write_bytes(b"anything")
    assert model_zoo._checked(str(tmp_path / name))


def test_a_changed_file_is_told(index):
    index.write_bytes(index.read_bytes() + b"x")
    with pytest.raises(ValueError, match="changed or cut off, since its SHA-256 begins with"):
        load_pretrained("soco_tiny")


@pytest.mark.parametrize(
    "name, message",
    [
        ("soco_large", r"its weights are not released \(those of others: soco_tiny\).*train\.py"),
        ("soco", "'soco' is neither .* Did you mean soco_large or soco_tiny"),
        ("soco_tyny", "Did you mean soco_tiny"),
        ("zzz", r"'zzz' is neither .* See list_models\(\)"),
        ("gone.pth", "gone.pth: no such file"),
    ],
)
def test_names_without_weights_are_told(name, message, index):
    with pytest.raises(ValueError, match=message):
        load_pretrained(name)


def test_no_index_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(model_zoo, "PACKAGE", tmp_path / "mmregioncon")
    model_index.cache_clear()
    with pytest.raises(FileNotFoundError, match=r"no model-index\.yml in .*install MMRegionCon"):
        list_models()


def detector_config(**neck):
    cfg = Config.fromfile(ROOT / "configs/demo/faster-rcnn_r18-fpn_demo.py")
    options = {
        "backbone.base_channels": 8,
        "neck.in_channels": [8, 16, 32, 64],
        "neck.out_channels": 16,
        "rpn_head.in_channels": 16,
        "rpn_head.feat_channels": 16,
        "roi_head.bbox_roi_extractor.out_channels": 16,
        "roi_head.bbox_head.in_channels": 16,
        "roi_head.bbox_head.conv_out_channels": 16,
        "roi_head.bbox_head.fc_out_channels": 32,
    }
    cfg.merge_from_dict({f"model.{key}": value for key, value in options.items()})
    cfg.merge_from_dict({f"model.neck.{key}": value for key, value in neck.items()})
    return cfg


def test_a_detector_is_built_and_filled(index, modules, told):
    detector = load_pretrained("soco_tiny", detector_config())
    state = detector.state_dict()
    assert all(torch.equal(state[key], value) for key, value in modules.state_dict().items())
    (line,) = told  # without MMEngine's page about each initial value
    assert line.endswith("backbone.* 120/120, neck.* 48/48, roi_head.bbox_head.shared_* 14/14")


def test_a_neck_that_differs_is_left_out_with_the_reason(index, modules, told):
    detector = load_pretrained("soco_tiny", detector_config(norm_cfg=None))
    own, theirs = detector.state_dict(), modules.state_dict()
    assert torch.equal(own["backbone.conv1.weight"], theirs["backbone.conv1.weight"])
    name = "neck.lateral_convs.0.conv.weight"
    assert not torch.equal(own[name], theirs[name])
    assert "neck.* 8/16 (left out: the checkpoint lacks 8 of 16 keys" in told[0]


def test_a_backbone_that_differs_is_an_error(index):
    with pytest.raises(ValueError, match=r"does not fit this FasterRCNN: \d+ of 120 shapes differ"):
        load_pretrained("soco_tiny", str(ROOT / "configs/demo/faster-rcnn_r18-fpn_demo.py"))


def test_config_of_another_package_is_inherited(index):
    config = "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py"
    with pytest.raises(ValueError, match=r"does not fit this FasterRCNN: \d+ of 318 shapes differ"):
        load_pretrained("soco_tiny", config)


def test_other_projects_files_fill_a_c4_detector(tmp_path, told):
    """A narrow ResNet-50 under detectron2's names, into the modules of mmdet's C4 detector."""
    torch.manual_seed(0)
    ours = DetectorModules(dict(depth=50, base_channels=4)).state_dict()
    theirs, _ = from_detector(to_detector(ours, "x"), "detectron2-c4", "x")
    torch.save(dict(model=theirs), tmp_path / "d2.pth")
    cfg = Config.fromfile(ROOT / "configs/transfer/coco/mask-rcnn_r50-c4_1x_coco_soco.py")
    with torch.device("meta"), DefaultScope.overwrite_default_scope("mmdet"):
        detector = MODELS.build(cfg.model)
    narrow = torch.nn.ModuleDict(dict(backbone=torch.nn.Module(), roi_head=torch.nn.Module()))
    stages = DetectorModules(dict(depth=50, base_channels=4)).backbone
    for name in ("conv1", "bn1", "layer1", "layer2", "layer3"):
        narrow["backbone"].add_module(name, getattr(stages, name))
    narrow["roi_head"].shared_head = torch.nn.ModuleDict(dict(layer4=stages.layer4))
    assert set(narrow.state_dict()) == {
        k for k in detector.state_dict() if k.startswith(("backbone.", "roi_head.shared_head."))
    }
    state = load_pretrained(tmp_path / "d2.pth", narrow).state_dict()
    key = "layer4.2.conv3.weight"
    assert torch.equal(state[f"roi_head.shared_head.{key}"], ours[f"backbone.{key}"])
    assert told[0].endswith("backbone.* 258/258, roi_head.shared_head.* 60/60")
