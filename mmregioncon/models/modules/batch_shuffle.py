"""Batches across ranks: gathering unequal counts, and shuffle-BN."""

import torch
from mmengine.dist import all_gather, broadcast, get_rank, get_world_size


@torch.no_grad()
def gather_unequal(tensor):
    """Rows of all ranks, which may hold different numbers of them.

    Args:
        tensor: ``(n, ...)``, n of this rank (0 is fine), the other dimensions alike everywhere.

    Returns:
        tuple: ``(sum of n, ...)`` in the order of ranks, without gradient, and the list of n.
    """
    if get_world_size() == 1:
        return tensor.detach(), [len(tensor)]
    counts = [int(count) for count in all_gather(torch.tensor([len(tensor)]).to(tensor.device))]
    padded = tensor.new_zeros((max(counts), *tensor.shape[1:]))
    padded[: len(tensor)] = tensor
    rows = [part[:count] for part, count in zip(all_gather(padded), counts)]
    return torch.cat(rows), counts


class BatchShuffle:
    """A permutation of the joint batch of all ranks, and its inverse (MoCo, section 3.3).

    BatchNorm of the key network must not see the images that the query network saw together, or
    the two cheat. Any world size and unequal batches will do: each rank gets as many images as
    it gave. With one rank nothing is moved.

    Args:
        images: B of this rank.
        device: where the images are.
    """

    def __init__(self, images, device):
        self.world_size = get_world_size()
        if self.world_size == 1:
            return
        _, counts = gather_unequal(torch.empty(images, 0, device=device))
        order = torch.randperm(sum(counts), device=device)
        broadcast(order)
        start = sum(counts[: get_rank()])
        self._mine = slice(start, start + images)
        self._order, self._back = order, order.argsort()

    def shuffle(self, tensor):
        """This rank's share ``(B, ...)`` of the permuted joint batch."""
        return tensor if self.world_size == 1 else gather_unequal(tensor)[0][self.order]

    @property
    def order(self):
        """Where this rank's shuffled images come from in the joint batch, ``(B,)`` int64."""
        return self._order[self._mine]

    def unshuffle(self, tensor):
        """Rows ``(B, ...)`` of this rank's own images, from rows of shuffled ones."""
        if self.world_size == 1:
            return tensor
        return gather_unequal(tensor)[0][self._back[self._mine]]
