"""Importing the package: version windows, safe checkpoint types, config scope."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub

from mmregioncon.compat import REQUIREMENTS, Requirement, check_versions

WINDOW = Requirement("mmcv", ("mmcv", "onedl-mmcv"), "2.1.0", "2.4.0")


@pytest.mark.parametrize("version", ["2.1.0", "2.1.0+cpu", "2.3.6"])
def test_version_inside_window_passes(version):
    check_versions([WINDOW], lambda requirement: version)


@pytest.mark.parametrize(
    ("version", "told"),
    [
        (None, "needs mmcv: run `bash tools/install.sh`"),
        ("2.0.1", r"needs mmcv>=2\.1\.0,<2\.4\.0, but 2\.0\.1 is installed .*tools/install\.sh"),
        ("2.4.0", r"but 2\.4\.0 is installed \(mmcv or onedl-mmcv\)"),
    ],
)
def test_version_outside_window_names_remedy(version, told):
    with pytest.raises(ImportError, match=told):
        check_versions([WINDOW], lambda requirement: version)


def test_torch_that_does_not_load_safely_is_told():
    (torch_window,) = (r for r in REQUIREMENTS if r.module == "torch")
    with pytest.raises(ImportError, match=r"needs torch>=2\.6, but 2\.5\.1 .*tools/install\.sh"):
        check_versions([torch_window], lambda requirement: "2.5.1")
    build = Path(__file__).parents[1] / "requirements/build.txt"
    assert f"torch{torch_window.window} " in build.read_text()


def test_module_without_distribution_counts_as_missing():
    absent = Requirement("no_such_module_at_all", ("no-such-distribution",), "1.0")
    with pytest.raises(ImportError, match="no_such_module_at_all"):
        check_versions([absent])


def test_import_is_light():
    heavy = ("mmcv", "mmdet", "mmpretrain", "torchvision")
    code = f"import sys, mmregioncon; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_mmengine_checkpoint_loads_with_weights_only(tmp_path):
    hub = MessageHub.get_instance("test_weights_only")
    for value in (np.float32(0.5), np.float64(1.5), 2.0):
        hub.update_scalar("train/loss", value)
    hub.update_info("best", np.float64(0.25))
    hub.update_info("iter", np.int64(7))
    numpy_state = np.random.RandomState(0).get_state()
    checkpoint = dict(
        state_dict={"w": torch.ones(2)},
        message_hub=hub.state_dict(),
        rng=dict(numpy=numpy_state, torch=torch.get_rng_state()),
    )
    torch.save(checkpoint, tmp_path / "epoch_1.pth")

    loaded = torch.load(tmp_path / "epoch_1.pth", weights_only=True)

    buffer = loaded["message_hub"]["log_scalars"]["train/loss"]
    np.testing.assert_allclose(buffer.data[0], [0.5, 1.5, 2.0])
    assert buffer.statistics("mean") == pytest.approx(4 / 3)
    assert loaded["message_hub"]["runtime_info"] == {"best": 0.25, "iter": 7}
    np.testing.assert_array_equal(loaded["rng"]["numpy"][1], numpy_state[1])


class _Evil:
    """Pickles as ``getattr(dict, 'fromkeys')``: harmless itself, but not HistoryBuffer's."""

    def __reduce__(self):
        return getattr, (dict, "fromkeys")


def test_checkpoint_reaches_no_other_attribute(tmp_path):
    torch.save({"x": _Evil()}, tmp_path / "evil.pth")
    with pytest.raises(Exception, match="dict|refused"):
        torch.load(tmp_path / "evil.pth", weights_only=True)


def test_configs_are_inherited_by_scope(tmp_path):
    child = tmp_path / "child.py"
    child.write_text("_base_ = 'mmregioncon::_base_/default_runtime.py'\n")
    assert Config.fromfile(child).default_scope == "mmregioncon"
