from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

torch.set_num_threads(1)  # tiny tensors: a second thread only waits, for long on a busy machine


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
def own_scope():
    """A test's Runner sets MMEngine's default scope, which must not decide the tests after it."""
    before = DefaultScope._instance_dict.copy()
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(before)
