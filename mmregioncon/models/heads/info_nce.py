"""InfoNCE, the loss of the MoCo family (arXiv 1911.05722, equation 1)."""

import torch
import torch.nn.functional as F


def info_nce(query, key, negatives, temperature=0.2, reduction="mean"):
    """-log softmax of the positive among itself and the negatives, for each row.

    Args:
        query: ``(N, D)`` L2-normalised, any float dtype.
        key: ``(N, D)`` the positive of each query, without gradient.
        negatives: ``(Q, D)`` shared by all queries, without gradient.
        temperature: tau.
        reduction: "mean" over rows, or "none".

    Returns:
        torch.Tensor: float32 scalar, 0 with a graph if N is 0; or ``(N,)``.
    """
    with torch.autocast(query.device.type, enabled=False):
        query, key, negatives = query.float(), key.detach().float(), negatives.float()
        if len(query) == 0:
            return query.sum() if reduction == "mean" else query.sum(dim=1)
        positive = (query * key).sum(dim=1, keepdim=True)
        logits = torch.cat([positive, query @ negatives.T], dim=1) / temperature
        return F.cross_entropy(
            logits, logits.new_zeros(len(logits), dtype=torch.long), reduction=reduction
        )
