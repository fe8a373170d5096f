"""Random state in checkpoints, so that a resumed run draws what the unbroken one would have."""

import random

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import CheckpointHook, Hook

from mmregioncon.registry import HOOKS


def get_rng_state():
    """State of all generators of this process, in types that ``weights_only=True`` loads."""
    version, keys, gauss = random.getstate()
    _, state, pos, has_gauss, cached = np.random.get_state()
    return dict(
        python=[version, list(keys), gauss],
        numpy=[torch.from_numpy(state.astype(np.int64)), int(pos), int(has_gauss), float(cached)],
        torch=torch.get_rng_state(),
        cuda=torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    )


def set_rng_state(state):
    """Set what :func:`get_rng_state` returned."""
    version, keys, gauss = state["python"]
    random.setstate((version, tuple(keys), gauss))
    keys, pos, has_gauss, cached = state["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), pos, has_gauss, cached))
    torch.set_rng_state(state["torch"].cpu())
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([one.cpu() for one in state["cuda"]])


@HOOKS.register_module()
class RNGStateHook(Hook):
    """Save every rank's random state with the checkpoint; restore it on resume.

    The resumed run equals the unbroken one from an epoch boundary on, if the loader's workers are
    seeded by ``seed_worker`` and not persistent. A checkpoint of another world size resumes with
    fresh random numbers and says so.
    """

    priority = "LOW"  # before CheckpointHook, which saves on rank 0 alone

    def __init__(self):
        self._gathered = None
        self._restore = None

    def after_train_epoch(self, runner):
        """Gather the states, in time for a checkpoint of this epoch."""
        self._gathered = all_gather_object(get_rng_state())

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Gather the states if a checkpoint is due by iterations."""
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook) and not hook.by_epoch:
                if self.every_n_train_iters(runner, hook.interval) or self.is_last_train_iter(
                    runner
                ):
                    self._gathered = all_gather_object(get_rng_state())

    def before_save_checkpoint(self, runner, checkpoint):
        """Put the states of all ranks under ``rng_states``."""
        if self._gathered is not None:
            checkpoint["rng_states"] = self._gathered

    def after_load_checkpoint(self, runner, checkpoint):
        """Keep the states until training starts, if this is a resume."""
        if runner._resume:
            self._restore = checkpoint.get("rng_states")

    def before_train(self, runner):
        """Restore this rank's state."""
        if self._restore is None:
            return
        if len(self._restore) == get_world_size():
            set_rng_state(self._restore[get_rank()])
        else:
            runner.logger.warning(
                f"the checkpoint holds random states of {len(self._restore)} ranks, this run has "
                f"{get_world_size()}: it goes on with fresh random numbers"
            )
