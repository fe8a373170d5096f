"""CCOP's losses (Yang, Huang and Crowley, arXiv 2111.13651)."""

import torch
from mmdet.structures.bbox import bbox_overlaps
from mmengine.model import BaseModule

from mmregioncon.registry import MODELS

from .info_nce import info_nce

ANCHORS = ("key", "query")


def disjoint_pairs(rois, max_iou=0.05):
    """Ordered pairs of regions of one image that hardly overlap.

    Args:
        rois: ``(K, 5)`` float32, image index and xyxy.
        max_iou: the IoU of a pair is below this.

    Returns:
        torch.Tensor: ``(K, K)`` bool, symmetric, false on the diagonal.
    """
    same_image = rois[:, None, 0] == rois[None, :, 0]
    different = ~torch.eye(len(rois), dtype=torch.bool, device=rois.device)
    return same_image & different & (bbox_overlaps(rois[:, 1:], rois[:, 1:]) < max_iou)


def intra_image_loss(query, key, pairs, margin=0.4, anchor="key"):
    """Mean over pairs (i, j) of max(0, q_i.k_j - q_j.k_j + margin).

    Args:
        query: ``(K, D)`` L2-normalised, any float dtype.
        key: ``(K, D)`` of the same regions, without gradient.
        pairs: ``(K, K)`` bool, the pairs (i, j) that count.
        margin: by how much a region should be nearer to its own key.
        anchor: ``"key"`` compares with k_j's own query, as above; ``"query"`` with q_i's own
            key, q_i.k_i.

    Returns:
        torch.Tensor: float32 scalar; 0 with a graph if there is no pair.
    """
    with torch.autocast(query.device.type, enabled=False):
        similarity = query.float() @ key.detach().float().T
        own = similarity.diagonal()
        own = own[None, :] if anchor == "key" else own[:, None]
        violation = (similarity - own + margin).clamp(min=0)
        return violation.mul(pairs).sum() / pairs.sum().clamp(min=1)


@MODELS.register_module()
class CCOPHead(BaseModule):
    """Image InfoNCE, object InfoNCE across images, and discrimination within an image.

    Args:
        weights: of the three, in that order; 0 turns one off.
        temperature: tau of both InfoNCE losses.
        margin: of the discrimination within an image.
        disjoint_iou: regions of an image whose key boxes overlap less are told apart.
        anchor: what :func:`intra_image_loss` compares with.
    """

    def __init__(
        self,
        weights=(1.0, 1.0, 1.0),
        temperature=0.2,
        margin=0.4,
        disjoint_iou=0.05,
        anchor="key",
        init_cfg=None,
    ):
        super().__init__(init_cfg)
        if len(weights) != 3:
            raise ValueError(
                f"model.head.weights={weights} needs three numbers: of loss_image, loss_object "
                "and loss_intra"
            )
        if anchor not in ANCHORS:
            raise ValueError(f"model.head.anchor={anchor!r} must be one of {ANCHORS}")
        self.weights = tuple(weights)
        self.temperature = temperature
        self.margin = margin
        self.disjoint_iou = disjoint_iou
        self.anchor = anchor

    def forward(self, images, objects, keys, key_rois):
        """Weighted losses by name; all vectors are L2-normalised.

        Args:
            images: query ``(B, D)``, key ``(B, D)`` and queue ``(Q, D)`` of images.
            objects: query ``(K, D)``, positive ``(K, D)`` and queue ``(Q, D)`` of regions.
            keys: ``(K, D)`` key vectors of the regions' own boxes, without jitter.
            key_rois: ``(K, 5)`` image index and those boxes, xyxy in pixels of the key view.
        """
        pairs = disjoint_pairs(key_rois, self.disjoint_iou)
        losses = dict(
            loss_image=info_nce(*images, self.temperature),
            loss_object=info_nce(*objects, self.temperature),
            loss_intra=intra_image_loss(objects[0], keys, pairs, self.margin, self.anchor),
        )
        return {name: weight * losses[name] for weight, name in zip(self.weights, losses)}
