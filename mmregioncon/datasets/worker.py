"""How the workers of a data loader are seeded, and how they join samples."""

import random

import numpy as np
import torch
from mmengine.dataset import default_collate

from mmregioncon.registry import FUNCTIONS


@FUNCTIONS.register_module()
def seed_worker(worker_id, _scope_=None):
    """Seed a loader worker from torch's own worker seed.

    MMEngine's default gives a worker the same seed in every epoch, so the augmentations repeat.
    torch draws its seed from the main process' generator at each start of an epoch: new
    numbers every epoch, and the same ones again after an exact resume (:class:`RNGStateHook`).
    """
    seed = torch.initial_seed() % 2**32
    random.seed(seed)
    np.random.seed(seed)


@FUNCTIONS.register_module()
def collate_views(samples, _scope_=None):
    """MMEngine's ``default_collate`` in configs that others inherit.

    A config that inherits ``mmregioncon::...`` gets a ``_scope_`` in every dict with a ``type``,
    also in those of plain functions, which MMEngine then calls with it.
    """
    return default_collate(samples)
