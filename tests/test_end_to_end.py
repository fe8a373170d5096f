"""The whole way as a user walks it: regions, pre-training (killed, resumed), fine-tuning."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tiny_soco import shrink_options

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / "tools"
PRETRAIN = ROOT / "configs/demo/soco_r18-fpn_demo.py"
FINE_TUNE = ROOT / "configs/demo/faster-rcnn_r18-fpn_demo_soco.py"
CLASSES = ("cat", "cup", "astronaut", "shuttle", "horse", "brick", "crate", "ball")
EPOCHS, ITERS = 3, 4
ENV = dict(os.environ, OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="")


def command(tool, *args):
    return [sys.executable, str(TOOLS / tool), *(str(arg) for arg in args)]


def call(tool, *args, cwd):
    done = subprocess.run(
        command(tool, *args), cwd=cwd, env=ENV, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture
def data(tmp_path):
    """Sixteen images of coloured squares, and their squares as COCO annotations."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    images, annotations = [], []
    for i in range(16):
        img = rng.integers(0, 80, (96, 96, 3), dtype=np.uint8)
        for x, y, side in ((6, 10, 40), (50, 40, 36)):
            img[y : y + side, x : x + side] = rng.integers(100, 255, 3)
            box = dict(bbox=[x, y, side, side], area=side * side, iscrowd=0)
            annotations.append(dict(box, id=len(annotations) + 1, image_id=i, category_id=1))
        cv2.imwrite(str(tmp_path / f"images/{i}.png"), img)
        images.append(dict(id=i, file_name=f"{i}.png", height=96, width=96))
    categories = [dict(id=i, name=name) for i, name in enumerate(CLASSES, 1)]
    content = dict(images=images, annotations=annotations, categories=categories)
    (tmp_path / "instances.json").write_text(json.dumps(content))
    return tmp_path


def as_arguments(options):
    def text(value):
        if isinstance(value, (list, tuple)):
            return "[" + ",".join(map(str, value)) + "]"
        return value

    return ["--cfg-options", *(f"{key}={text(value)}" for key, value in options.items())]


def pretraining(data, work_dir, *args):
    """Arguments of a pre-training of three epochs of four steps."""
    options = {
        **shrink_options(),
        "train_dataloader.dataset.region_file": data / "regions.arrow",
        "train_dataloader.batch_size": 16 // ITERS,
        "train_dataloader.num_workers": 0,
        "train_cfg.max_epochs": EPOCHS,
        "param_scheduler.1.T_max": EPOCHS - 1,
        "param_scheduler.1.end": EPOCHS,
        "default_hooks.checkpoint.max_keep_ckpts": EPOCHS,
        "default_hooks.logger.interval": 1,
    }
    return PRETRAIN, "--work-dir", work_dir, *args, *as_arguments(options)


def kill_after_first_checkpoint(data, work_dir):
    """Start a pre-training and kill it, as a crash would, in its second epoch or later.

    Returns:
        bool: Whether it was not too late.
    """
    shutil.rmtree(work_dir, ignore_errors=True)
    process = subprocess.Popen(
        command("train.py", *pretraining(data, work_dir)),
        cwd=data,
        env=ENV,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 300
        marker = work_dir / "last_checkpoint"
        while not (marker.exists() and marker.read_text()):
            assert process.poll() is None and time.monotonic() < deadline, "no checkpoint written"
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return not (work_dir / f"epoch_{EPOCHS}.pth").exists()


def logged_losses(work_dir):
    """Loss by iteration over all runs in a work dir."""
    losses = {}
    for file in sorted(work_dir.glob("*/vis_data/scalars.json")):
        for line in file.read_text().splitlines():
            record = json.loads(line)
            losses[record["step"]] = record["loss"]
    return losses


@pytest.mark.slow
def test_from_images_to_a_fine_tuned_detector(data):
    # min_side: the images are small
    call(
        "generate_regions.py",
        data / "images",
        "--out",
        data / "regions.arrow",
        "--proposer",
        "grid",
        "--filter-args",
        "min_side=8",
        "--workers",
        1,
        cwd=data,
    )
    call("train.py", *pretraining(data, data / "unbroken"), cwd=data)
    assert any(kill_after_first_checkpoint(data, data / "killed") for _ in range(3))
    log = call("train.py", *pretraining(data, data / "killed", "--resume"), cwd=data)
    assert "resumed epoch" in log

    unbroken, resumed = (
        torch.load(data / run / f"epoch_{EPOCHS}.pth", weights_only=True)
        for run in ("unbroken", "killed")
    )
    assert unbroken["meta"]["iter"] == resumed["meta"]["iter"] == EPOCHS * ITERS
    for name, value in unbroken["state_dict"].items():
        torch.testing.assert_close(resumed["state_dict"][name], value, msg=name)
    losses = logged_losses(data / "unbroken")
    assert sorted(losses) == list(range(1, EPOCHS * ITERS + 1))
    last = EPOCHS * ITERS
    assert logged_losses(data / "killed")[last] == pytest.approx(losses[last], abs=1e-5)
    assert (data / "unbroken/views/epoch_0.png").exists()

    check_fine_tuning(data, data / f"killed/epoch_{EPOCHS}.pth")


def check_fine_tuning(data, checkpoint):
    options = {
        "load_from": checkpoint,
        "train_cfg.max_iters": 2,
        "train_cfg.val_interval": 2,
        "val_evaluator.ann_file": data / "instances.json",
        "default_hooks.logger.interval": 1,
        "default_hooks.checkpoint.interval": 2,
        "model.rpn_head.in_channels": 16,
        "model.rpn_head.feat_channels": 16,
        "model.train_cfg.rpn_proposal.max_per_img": 16,
        "model.train_cfg.rcnn.sampler.num": 8,
        "model.test_cfg.rpn.max_per_img": 8,
        "train_dataloader.batch_size": 2,
    }
    trunk = ("backbone", "neck", "roi_head.bbox_head", "roi_head.bbox_roi_extractor")
    for key, value in shrink_options().items():
        if key.startswith(tuple(f"model.{part}." for part in trunk)) and "thresholds" not in key:
            options[key] = value
    for split in ("train", "val"):
        loader = f"{split}_dataloader"
        options |= {
            f"{loader}.num_workers": 0,
            f"{loader}.persistent_workers": False,
            f"{loader}.dataset.data_root": data,
            f"{loader}.dataset.ann_file": "instances.json",
            f"{loader}.dataset.data_prefix.img": "images/",
        }
    work_dir = data / "detector"
    log = call("train.py", FINE_TUNE, "--work-dir", work_dir, *as_arguments(options), cwd=data)
    assert "backbone 120/120, neck 48/48, bbox_head trunk 8/8" in log
    assert "bbox_mAP" in log
    tuned = torch.load(work_dir / "iter_2.pth", weights_only=True)["state_dict"]
    started = torch.load(checkpoint, weights_only=True)["state_dict"]
    shared = "backbone.layer1.0.conv1.weight"
    assert 0 < (tuned[shared] - started[shared]).abs().max() < 0.1
