"""How the workers of a data loader start, and how they join samples."""

import random

import numpy as np
import torch
from mmengine.dataset import default_collate

from mmregioncon.registry import FUNCTIONS
from mmregioncon.utils.opencv import pin_opencv


@FUNCTIONS.register_module()
def seed_worker(worker_id, _scope_=None):
    """Seed a loader worker from torch's own worker seed.

    MMEngine's default gives a worker the same seed in every epoch, so the augmentations repeat.
    torch draws its seed from the main process' generator at each start of an epoch: new
    numbers every epoch, and the same ones again after an exact resume (:class:`RNGStateHook`).
    That is why the workers of pre-training are not persistent. OpenCV gets one thread, as
    torch does: the workers are the threads.
    """
    pin_opencv()
    seed = torch.initial_seed() % 2**32
    random.seed(seed)
    np.random.seed(seed)


@FUNCTIONS.register_module()
def collate_views(samples, _scope_=None):
    """Join views, channels last as they are in memory; all else as MMEngine's ``default_collate``.

    Args:
        samples: B dicts of :class:`PackRegionInputs`.

    Returns:
        dict: ``inputs``, a list of V ``(B, 3, H, W)`` uint8 tensors, and ``data_samples``.
    """
    # A config that inherits mmregioncon::... gets a _scope_ in every dict with a type, also in
    # those of plain functions, which MMEngine then calls with it.
    views = zip(*(sample.pop("inputs") for sample in samples))
    inputs = [default_collate([img.permute(1, 2, 0) for img in view]) for view in views]
    return dict(inputs=[view.permute(0, 3, 1, 2) for view in inputs], **default_collate(samples))
