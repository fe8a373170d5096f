"""What the docs show is run."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from test_end_to_end import ENV, as_arguments
from tiny_models import finite_step
from tiny_soco import shrink_options, tiny_batch, tiny_model

from mmregioncon.regions import RegionRow, write_store
from mmregioncon.registry import MODELS

ROOT = Path(__file__).parents[1]


def code_of_page(page):
    """Code blocks by the file that their first line names; continued ones are joined."""
    files = {}
    for name, code in re.findall(r"```python\n# (\S+\.py).*?\n(.*?)```", page.read_text(), re.S):
        files[name] = files.get(name, "") + code + "\n\n"
    return files


@pytest.fixture
def project(tmp_path):
    """A user's project with the page's code and eight pictures."""
    for name, code in code_of_page(ROOT / "docs/add_a_method.md").items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(code)
    rng = np.random.default_rng(0)
    rows = []
    for i in range(8):
        img = cv2.resize(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8), (96, 96))
        cv2.imwrite(str(tmp_path / f"{i}.png"), img)
        boxes = np.float32([[5, 5, 60, 60], [30, 20, 90, 90], [40, 5, 90, 50]])
        rows.append(RegionRow(f"{i}.png", 96, 96, boxes, np.ones(3, np.float32)))
    write_store(tmp_path / "regions.arrow", rows, dict(root=str(tmp_path)))
    return tmp_path


@pytest.fixture
def method(project, monkeypatch):
    """A tiny model of the added method."""
    monkeypatch.syspath_prepend(project)
    importlib.import_module("my_project.batch_nce")
    head = dict(_delete_=True, type="BatchNCEHead")
    yield tiny_model(type="BatchNCE", predictor=None, head=head, teacher=dict(momentum=0.99))
    for name in ("BatchNCE", "BatchNCEHead"):
        MODELS.module_dict.pop(name)
    for name in ("my_project", "my_project.batch_nce"):
        sys.modules.pop(name)


@pytest.mark.parametrize("side", [(0.1, 0.15), (0.8, 0.9)])
def test_the_added_method_gives_ddp_all_gradients(method, side):
    """Also those of pyramid levels on which no region lies."""
    losses = finite_step(method, tiny_batch(sizes=(64, 64), side=side))
    assert losses["loss_regions"] > 0


def test_empty_slots_do_not_count_in_the_added_method(method):
    batch = tiny_batch(sizes=(64, 64), num_regions=1, batch_size=2)
    for sample in batch[1]:
        for view in sample.views:
            view.ids[:] = -1
    assert finite_step(method, batch)["loss_regions"] == 0


@pytest.mark.slow
def test_the_added_method_trains_and_its_checkpoint_has_a_detectors_names(project):
    options = {
        **{k: v for k, v in shrink_options().items() if "predictor" not in k},
        "train_dataloader.dataset.region_file": project / "regions.arrow",
        "train_dataloader.batch_size": 4,
        "train_dataloader.num_workers": 0,
        "train_cfg.max_epochs": 2,
    }
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools/train.py"), "my_project/batch_nce_r18-fpn_demo.py"]
        + ["--work-dir", "out", *as_arguments(options)],
        cwd=project,
        env=dict(ENV, PYTHONPATH=str(project)),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    losses = [float(x) for x in re.findall(r"loss_regions: ([\d.]+)", done.stdout + done.stderr)]
    assert losses and all(0 < loss < 20 for loss in losses)
    keys = torch.load(project / "out/epoch_2.pth", weights_only=True)["state_dict"].keys()
    modules = {key.split(".")[0] for key in keys}
    assert modules == {"backbone", "neck", "roi_head", "projector", "teacher"}
