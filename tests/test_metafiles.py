"""Metafiles and model-index.yml against the configs and the released weights."""

import hashlib
import re
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config

from mmregioncon.apis import list_models, load_pretrained, model_index
from mmregioncon.converters import read_checkpoint

ROOT = Path(__file__).parents[1]
METAFILES = {path.parent.name: path for path in sorted(ROOT.glob("configs/*/metafile.yml"))}
METHODS = {"soco", "plrc", "detco", "ccop", "moco", "densecl"}
DATA = {"in1k": "ImageNet-1k", "coco": "COCO"}
MAX_BYTES = 5_000_000


def test_every_method_has_a_metafile_and_the_index_lists_all():
    assert METAFILES.keys() >= METHODS
    listed = yaml.safe_load((ROOT / "model-index.yml").read_text())["Import"]
    assert sorted(listed) == [str(path.relative_to(ROOT)) for path in METAFILES.values()]


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_methods_metafile_lists_exactly_its_configs(method):
    content = yaml.safe_load(METAFILES[method].read_text())
    (collection,) = content["Collections"]
    assert collection["Paper"]["URL"].startswith("https://")
    assert (ROOT / collection["README"]).is_file()
    configs = {model["Config"] for model in content["Models"]}
    folder = METAFILES[method].parent
    assert configs == {str(path.relative_to(ROOT)) for path in folder.glob("*.py")}
    assert all(model["In Collection"] == collection["Name"] for model in content["Models"])


@pytest.mark.parametrize("name", list_models())
def test_metadata_are_the_configs(name):
    model = model_index()[name]
    assert model.config.stem == name
    cfg = Config.fromfile(model.config)
    recipe = re.search(r"_(\d+)xb(\d+)-.*-(\d+)e_(\w+)$", name)
    if recipe:  # the file's name says GPUs, batch, epochs, data; the config has to agree
        gpus, batch, epochs, data = recipe.groups()
        assert cfg.train_dataloader.batch_size == int(batch)
        expected = (int(epochs), int(gpus) * int(batch), DATA[data])
    else:
        expected = (cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size, "demo")
    keys = ("Epochs", "Batch Size", "Training Data")
    assert tuple(model.metadata[key] for key in keys) == expected
    assert cfg.train_cfg.max_epochs == model.metadata["Epochs"]


@pytest.mark.parametrize("name", list_models())
def test_results_are_those_of_released_weights(name):
    """What authors report stands in the READMEs; a metafile's results can be repeated."""
    model = model_index()[name]
    assert bool(model.results) == bool(model.weights)


@pytest.mark.parametrize("name", list_models(released=True))
def test_released_weights_are_whole_small_and_load(name):
    model = model_index()[name]
    file = Path(model.weights)
    assert file.stat().st_size < MAX_BYTES
    assert file.stem.endswith("-" + hashlib.sha256(file.read_bytes()).hexdigest()[:8])
    assert re.search(r"Epoch\(train\) +\[\d+\]", file.with_suffix(".log").read_text())
    meta = read_checkpoint(file)["meta"]
    assert meta["config"] == model.config.name
    assert meta["epochs"] == model.metadata["Epochs"]
    maps = load_pretrained(name)(torch.zeros(1, 3, 64, 64))
    assert all(torch.isfinite(level).all() for level in maps)
