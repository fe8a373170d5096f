"""How the processes of a data loader are seeded."""

import random

import numpy as np
import torch

from mmregioncon.registry import FUNCTIONS


@FUNCTIONS.register_module()
def seed_worker(worker_id):
    """Seed a loader worker from torch's own worker seed.

    MMEngine's default gives a worker the same seed in every epoch, so the augmentations repeat.
    torch draws its seed from the main process' generator at each start of an epoch: new
    numbers every epoch, and the same ones again after an exact resume (:class:`RNGStateHook`).
    """
    seed = torch.initial_seed() % 2**32
    random.seed(seed)
    np.random.seed(seed)
