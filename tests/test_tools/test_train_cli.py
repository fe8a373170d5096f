"""tools/train.py, test.py and dist_train.sh as a user calls them, on a toy model."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "tools"
CONFIG = """
default_scope = "mmengine"
custom_imports = dict(imports=["toy_modules"], allow_failed_imports=False)
model = dict(type="ToyNet")
train_dataloader = dict(
    batch_size=2, num_workers=0, dataset=dict(type="ToyData"),
    sampler=dict(type="DefaultSampler", shuffle=True), collate_fn=dict(type="pseudo_collate"),
)
test_dataloader = dict(
    batch_size=2, num_workers=0, dataset=dict(type="ToyData"),
    sampler=dict(type="DefaultSampler", shuffle=False), collate_fn=dict(type="pseudo_collate"),
)
test_cfg = dict()
test_evaluator = dict(type="ToyMetric")
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01))
train_cfg = dict(by_epoch=True, max_epochs=1)
auto_scale_lr = dict(base_batch_size=8, enable=False)
randomness = dict(seed=0)
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "toy.py"
    path.write_text(CONFIG)
    return path


def call(*command, cwd):
    """Run a command with the toy modules importable and this Python's scripts on PATH."""
    env = dict(os.environ, PYTHONPATH=str(Path(__file__).parent), CUDA_VISIBLE_DEVICES="")
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    return subprocess.run(
        [str(c) for c in command], cwd=cwd, env=env, capture_output=True, text=True, timeout=300
    )


def python(tool, *args, cwd):
    return call(sys.executable, TOOLS / tool, *args, cwd=cwd)


@pytest.mark.slow
def test_train_resume_and_test(config, tmp_path):
    """SyncBN included: without launcher it runs as BN on a CPU."""
    first = python("train.py", config, "--auto-scale-lr", "--work-dir", "out", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    checkpoint = tmp_path / "out/epoch_1.pth"
    saved = torch.load(checkpoint, weights_only=True)
    assert saved["optimizer"]["param_groups"][0]["lr"] == pytest.approx(0.01 * 2 / 8)

    longer = ("--cfg-options", "train_cfg.max_epochs=2", "--work-dir", "out")
    second = python("train.py", config, "--resume", *longer, cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    assert "resumed epoch: 1, iter: 4" in second.stdout + second.stderr
    assert torch.load(tmp_path / "out/epoch_2.pth", weights_only=True)["meta"]["iter"] == 8

    tested = python("test.py", config, checkpoint, cwd=tmp_path)
    assert tested.returncode == 0, tested.stderr
    assert "toy/images: 8" in tested.stdout + tested.stderr
    assert (tmp_path / "work_dirs/toy").is_dir()


@pytest.mark.slow
def test_two_processes_without_gpu(config, tmp_path):
    script = TOOLS / "dist_train.sh"
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = f"PORT={server.getsockname()[1]}"
    done = call("env", port, "bash", script, config, "2", "--work-dir", "o", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert torch.load(tmp_path / "o/epoch_1.pth", weights_only=True)["meta"]["iter"] == 2


@pytest.mark.parametrize(
    ("checkpoints", "told"), [(["epoch_1.pth"], "newest here is out/epoch_1.pth"), ([], "none in")]
)
def test_resume_when_last_checkpoint_names_none(config, tmp_path, checkpoints, told):
    (tmp_path / "out").mkdir()
    for name in ("last_checkpoint", *checkpoints):  # killed before the name was in the file
        (tmp_path / "out" / name).touch()
    done = python("train.py", config, "--work-dir", "out", "--resume", cwd=tmp_path)
    assert done.returncode == 1
    assert "error: out/last_checkpoint: names '', which is no file" in done.stderr
    assert told in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--cfg-options", "train_cfg.max_epoch=2"], "Did you mean 'max_epochs'?"),
        (["--cfg-options", "model.channel_count=2"], "ToyNet has no argument 'channel_count'."),
        (["--resume", "nowhere.pth"], "--resume nowhere.pth: no such file."),
    ],
)
def test_mistakes_end_with_one_plain_line(config, tmp_path, args, told):
    done = python("train.py", config, *args, cwd=tmp_path)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("script", "args"),
    [("dist_train.sh", ["c"]), ("dist_test.sh", ["c", "p"]), ("slurm_train.sh", ["p", "j", "c"])],
)
def test_launchers_say_how_they_are_used(script, args, tmp_path):
    done = call("bash", TOOLS / script, *args, cwd=tmp_path)
    assert done.returncode == 2
    assert "usage:" in done.stderr
