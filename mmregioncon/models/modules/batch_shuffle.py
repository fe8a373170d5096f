"""Batches across ranks: gathering unequal counts, and shuffle-BN."""

import torch
from mmengine.dist import all_gather, broadcast, get_rank, get_world_size


def gather_counts(count, device):
    """An int of every rank, as a list in the order of ranks."""
    return [int(one) for one in all_gather(torch.tensor([count], device=device))]


@torch.no_grad()
def gather_unequal(tensor):
    """Rows of all ranks, which may hold different numbers of them.

    Args:
        tensor: ``(n, ...)``, n of this rank (0 is fine), the other dimensions alike everywhere.

    Returns:
        tuple: ``(sum of n, ...)`` in the order of ranks, without gradient, and the list of n.
    """
    counts = gather_counts(len(tensor), tensor.device)
    if len(counts) == 1:
        return tensor.detach(), counts
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
        counts = gather_counts(images, device)
        order = torch.randperm(sum(counts), device=device)
        broadcast(order)
        start = sum(counts[: get_rank()])
        self._mine = slice(start, start + images)
        self._order, self._back = order, order.argsort()
        self._rank_of_place = torch.repeat_interleave(torch.tensor(counts)).to(device)

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

    def shuffle_rois(self, rois):
        """Regions of the images this rank holds after the shuffle.

        Only boxes travel, never feature maps.

        Args:
            rois: ``(n, 5)`` float32 of this rank's own images: image index, xyxy.

        Returns:
            torch.Tensor: ``(m, 5)``, the image index that of the shuffled images.
        """
        if self.world_size == 1:
            return rois
        index = rois[:, :1] + self._mine.start
        joint, counts = gather_unequal(torch.cat([index, rois[:, 1:]], dim=1))
        start = sum(counts[: get_rank()])
        place = self._back[joint[:, 0].long()]
        holder = self._rank_of_place[place]
        # Rank after rank, as the vectors will be gathered; then to the order of the joint list
        self._own_rois = holder.argsort(stable=True).argsort()[start : start + len(rois)]
        joint[:, 0] = place - self._mine.start
        return joint[holder == get_rank()]

    def unshuffle_rois(self, vectors):
        """Vectors ``(n, D)`` of the rois given to :meth:`shuffle_rois`, in their order.

        Args:
            vectors: ``(m, D)`` of those it returned.
        """
        if self.world_size == 1:
            return vectors
        return gather_unequal(vectors)[0][self._own_rois]
