"""SoCo's loss (Wei et al., NeurIPS 2021, section 3.3)."""

import torch.nn.functional as F
from mmengine.model import BaseModule

from mmregioncon.registry import MODELS


def region_cosine_loss(query, key, query_ids, key_ids, eps=1e-6):
    """Mean over images of the mean over matched slots of -2 cos(query, key).

    Slots match if they hold the same region; a region that fills several slots (padding) matches
    in each of them. An image without a match contributes zero.

    Args:
        query: ``(B, S, D)`` online predictions.
        key: ``(B, T, D)`` teacher projections; no gradient flows into them.
        query_ids: ``(B, S)`` int64 region ids, negative for empty slots.
        key_ids: ``(B, T)`` likewise.
        eps: added to the number of matches of an image.

    Returns:
        torch.Tensor: scalar in [-2, 2].
    """
    query = F.normalize(query.float(), dim=-1)
    key = F.normalize(key.detach().float(), dim=-1)
    match = (query_ids[:, :, None] == key_ids[:, None, :]) & (query_ids >= 0)[:, :, None]
    cosine = (query @ key.transpose(1, 2)) * match
    per_image = cosine.sum(dim=(1, 2)) / (match.sum(dim=(1, 2)) + eps)
    return -2 * per_image.mean()


@MODELS.register_module()
class SoCoHead(BaseModule):
    """Symmetric region loss of each pair of views; the minimum of a pair is -4."""

    def forward(self, queries, keys, ids):
        """Loss of one pair.

        Args:
            queries: two ``(B, K, D)`` online predictions, one a view.
            keys: two ``(B, K, D)`` teacher projections.
            ids: two ``(B, K)`` int64 region ids.

        Returns:
            torch.Tensor: scalar, both directions added.
        """
        forth = region_cosine_loss(queries[0], keys[1], ids[0], ids[1])
        back = region_cosine_loss(queries[1], keys[0], ids[1], ids[0])
        return forth + back
