"""The queue of past keys that InfoNCE takes its negatives from."""

import torch
import torch.nn.functional as F
from torch import nn

from mmregioncon.registry import MODELS

from .batch_shuffle import gather_unequal


def build_queue(cfg, dim):
    """A :class:`MemoryQueue` of D = ``dim`` from a model's ``queue`` argument (None: defaults)."""
    return MODELS.build(dict(type="MemoryQueue", dim=dim, **(cfg or {})))


@MODELS.register_module()
class MemoryQueue(nn.Module):
    """First in, first out, of fixed length and float32 (MoCo, section 3.1).

    Filled with random unit vectors at first, as in MoCo. Contents and position are buffers, so
    the checkpoint keeps them. New keys wait until the queue is next read, since the loss's
    backward pass still needs the old ones: so no step copies the queue.

    Args:
        length: Q, keys held.
        dim: D.
    """

    def __init__(self, length=65536, dim=128):
        super().__init__()
        if length < 1:
            raise ValueError(f"queue length={length} must be at least 1")
        self.register_buffer("keys", F.normalize(torch.randn(length, dim), dim=1))
        self.register_buffer("position", torch.zeros(1, dtype=torch.long))
        self._waiting = None  # (places, keys)

    @torch.no_grad()
    def negatives(self):
        """The keys ``(Q, D)`` float32, no copy: the next call changes them, after backward."""
        if self._waiting is not None:
            places, keys = self._waiting
            self.keys[places] = keys
            self._waiting = None
        return self.keys

    @torch.no_grad()
    def enqueue(self, keys):
        """Replace the oldest keys by those of all ranks, rank after rank.

        Args:
            keys: ``(n, D)`` of any float dtype; n may differ from rank to rank and be 0.

        Raises:
            ValueError: all ranks together have more keys than the queue is long.
        """
        keys, _ = gather_unequal(keys.float())
        length = len(self.keys)
        if len(keys) > length:
            raise ValueError(
                f"{len(keys)} keys of one step do not fit into a queue of {length}: raise the "
                "queue's length (model.queue.length, of CCOP's regions model.roi_queue.length), or "
                "lower train_dataloader.batch_size"
            )
        places = (self.position + torch.arange(len(keys), device=keys.device)) % length
        self.negatives()  # those that waited so far
        self._waiting = (places, keys)
        self.position[:] = (self.position + len(keys)) % length

    def _save_to_state_dict(self, *args, **kwargs):
        self.negatives()
        super()._save_to_state_dict(*args, **kwargs)

    def _load_from_state_dict(self, *args, **kwargs):
        self._waiting = None
        super()._load_from_state_dict(*args, **kwargs)
