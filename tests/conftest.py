import random
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from mmengine.registry import DefaultScope

import mmregioncon  # noqa: F401  lets MMEngine's checkpoints be loaded with weights_only=True

torch.set_num_threads(1)  # tiny tensors: a second thread only waits, for long on a busy machine
cv2.setNumThreads(0)  # some tests fork, and OpenCV's threads are not there in a fork
settings.register_profile(
    "busy_machine",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("busy_machine")


@pytest.fixture(scope="session")
def golden():
    """Numbers recorded from the original implementations, by file name."""
    folder = Path(__file__).parent / "data" / "golden"
    cache = {}

    def load(name):
        if name not in cache:
            cache[name] = dict(np.load(folder / f"{name}.npz", allow_pickle=False))
        return cache[name]

    return load


@pytest.fixture(autouse=True)
def own_seed():
    """What a test draws does not depend on the tests before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def own_scope():
    """A test's Runner sets MMEngine's default scope, which must not decide the tests after it."""
    before = DefaultScope._instance_dict.copy()
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(before)
