"""PLRC's losses (Bai et al., CVPR 2022, section 3): image, point-level region, affinity."""

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmengine.logging import MessageHub
from mmengine.model import BaseModule

from mmregioncon.registry import MODELS

from ..modules.schedule import total_iterations
from .info_nce import info_nce

LEVELS = ("region", "point", "point-region")
NEGATIVES = ("image", "batch")
# A logit that has no weight in any softmax here, yet leaves all sums finite
NEVER = -1e9


def grouped_contrast(query, key, positives, candidates, temperature):
    """Mean over queries of -log softmax over the candidates, averaged over the positives.

    Args:
        query: ``(B, M, D)`` L2-normalised.
        key: ``(B, T, D)`` L2-normalised.
        positives: ``(B, M, T)`` bool; a query without any does not count.
        candidates: bool, broadcast to ``(B, M, T)``; the keys in the denominator.
        temperature: tau.

    Returns:
        torch.Tensor: float32 scalar; 0 with a graph if no query counts.
    """
    with torch.autocast(query.device.type, enabled=False):
        logits = query.float() @ key.float().transpose(1, 2) / temperature
        logits_of_all = logits.masked_fill(~candidates, NEVER).logsumexp(dim=2)
        count = positives.sum(dim=2)
        losses = logits_of_all - (logits * positives).sum(dim=2) / count.clamp(min=1)
        counts = count > 0
        return (losses * counts).sum() / counts.sum().clamp(min=1)


def point_region_contrast(query, key, query_ids, key_ids, temperature=0.2, matched=False):
    """L_c: the points of a region in the other view against all points of that view.

    Args:
        query: ``(B, P, N, D)`` L2-normalised online vectors of view 1.
        key: ``(B, P, N, D)`` L2-normalised teacher vectors of view 2; no gradient.
        query_ids: ``(B, P)`` int64 region ids, negative for empty slots.
        key_ids: ``(B, P)`` likewise.
        temperature: tau.
        matched: of the positives, keep only the n-th point of the region for its n-th.

    Returns:
        torch.Tensor: float32 scalar, the mean over all points of regions that both views hold.
    """
    points = query.shape[2]
    positives = _same_region(query_ids, key_ids, points)
    if matched:
        place = torch.arange(points, device=query.device).repeat(query.shape[1])
        positives = positives & (place[:, None] == place)
    candidates = (key_ids >= 0).repeat_interleave(points, dim=1)[:, None]
    return grouped_contrast(
        query.flatten(1, 2), key.detach().flatten(1, 2), positives, candidates, temperature
    )


def two_view_contrast(query, key, ids, temperature=0.2, base_temperature=0.07):
    """SupCon among the points of both views, times tau / base, as in the release.

    Every point is a query; its positives are all other points of its region, of either view, and
    the denominator holds all points but itself.

    Args:
        query: ``(B, P, N, D)`` L2-normalised online vectors of view 1.
        key: ``(B, P, N, D)`` L2-normalised teacher vectors of view 2; no gradient.
        ids: ``(B, P)`` int64 region ids of both, negative for empty slots.
        temperature: tau.
        base_temperature: what tau is divided by.
    """
    both = torch.cat([query, key.detach()], dim=2)
    points = both.shape[2]
    vectors = both.flatten(1, 2)
    others = ~torch.eye(vectors.shape[1], dtype=torch.bool, device=vectors.device)
    positives = _same_region(ids, ids, points) & others
    candidates = (ids >= 0).repeat_interleave(points, dim=1)[:, None] & others
    loss = grouped_contrast(vectors, vectors, positives, candidates, temperature)
    return loss * temperature / base_temperature


def point_affinity_distillation(student, teacher, key, ids, tau_s=0.1, tau_t=0.07, centre=None):
    """L_a: cross-entropy of the affinities of a point to all points of the other view.

    Args:
        student: ``(B, P, N, D)`` L2-normalised online vectors of view 1.
        teacher: ``(B, P, N, D)`` L2-normalised teacher vectors of the same points; no gradient.
        key: ``(B, P, N, D)`` L2-normalised teacher vectors of view 2; no gradient.
        ids: ``(query_ids, key_ids)``, each ``(B, P)`` int64, negative for empty slots.
        tau_s: temperature of the student.
        tau_t: temperature of the teacher.
        centre: ``(D,)`` vector whose product with each key is that key's c_k; ``None`` for no
            centring.

    Returns:
        torch.Tensor: float32 scalar, the mean over the points of all regions; 0 with a graph if
        there are none.
    """
    with torch.autocast(student.device.type, enabled=False):
        points = student.shape[2]
        student, teacher, key = (part.float().flatten(1, 2) for part in (student, teacher, key))
        valid, candidates = ((i >= 0).repeat_interleave(points, dim=1) for i in ids)
        with torch.no_grad():
            centred = teacher if centre is None else teacher - centre
            targets = _masked(centred @ key.transpose(1, 2) / tau_t, candidates).softmax(dim=2)
        affinities = student @ key.detach().transpose(1, 2) / tau_s
        losses = -(targets * _masked(affinities, candidates).log_softmax(dim=2)).sum(dim=2)
        return (losses * valid).sum() / valid.sum().clamp(min=1)


def across_images(ids):
    """Ids that are unique in the batch, from ids unique in an image, both ``(B, P)`` int64."""
    image = torch.arange(len(ids), device=ids.device)[:, None]
    return torch.where(ids >= 0, ids + (image << 32), ids)


def _same_region(query_ids, key_ids, points):
    """Whether two points are of the same region, ``(B, P * points, P * points)`` bool."""
    same = (query_ids[:, :, None] == key_ids[:, None, :]) & (query_ids >= 0)[:, :, None]
    return same.repeat_interleave(points, dim=1).repeat_interleave(points, dim=2)


def _masked(logits, candidates):
    return logits.masked_fill(~candidates[:, None], NEVER)


@MODELS.register_module()
class PLRCHead(BaseModule):
    """``loss_image``, ``loss_contrast`` and ``loss_affinity``, weighted; a weight of 0 drops one.

    Args:
        image_weight: of MoCo's InfoNCE, L_m.
        contrast_weight: of the contrast between regions, L_c.
        affinity_weight: of the distillation, L_a; 0 turns it off.
        temperature: tau of both contrasts.
        level: what L_c compares. "point-region": points, the positives are all the points of the
            same region. "point": points, the positive is the same point in the other view (needs
            ``SampleRegionPoints.matched=True``). "region": the means of the points of a region.
        negatives: where the other keys of L_c come from: the same "image", or all images of this
            rank's "batch" (with B images, B times the keys for every point).
        base_temperature: ``None`` for L_c as in the paper; a number for the release's SupCon
            among the points of both views, scaled by tau / base_temperature.
        tau_s: the student's temperature in L_a.
        tau_t: the teacher's, after the warm-up.
        tau_t_start: the teacher's at the first iteration.
        tau_t_warmup: part of training (MMEngine's ``max_iters``) in which it rises, linearly.
        centre_channels: D of the vectors of L_a, to subtract the running mean of the teacher's
            affinities to each key; ``None`` for no centring.
        centre_momentum: of that mean.

    Raises:
        ValueError: a value is out of range, or ``base_temperature`` is given with a level or
            negatives that the release's loss does not have.
    """

    def __init__(
        self,
        image_weight=0.7,
        contrast_weight=0.3,
        affinity_weight=0.3,
        temperature=0.2,
        level="point-region",
        negatives="image",
        base_temperature=None,
        tau_s=0.1,
        tau_t=0.07,
        tau_t_start=0.04,
        tau_t_warmup=0.3,
        centre_channels=None,
        centre_momentum=0.9,
        init_cfg=None,
    ):
        super().__init__(init_cfg)
        if level not in LEVELS:
            raise ValueError(f"model.head.level={level!r}: choose one of {LEVELS}")
        if negatives not in NEGATIVES:
            raise ValueError(f"model.head.negatives={negatives!r}: choose one of {NEGATIVES}")
        if base_temperature is not None and (level, negatives) != ("point-region", "batch"):
            raise ValueError(
                f"model.head.base_temperature={base_temperature} is the release's loss, which has "
                f"level='point-region' and negatives='batch', not {level!r} and {negatives!r}"
            )
        self.weights = dict(
            image_weight=image_weight,
            contrast_weight=contrast_weight,
            affinity_weight=affinity_weight,
        )
        temperatures = dict(
            temperature=temperature, tau_s=tau_s, tau_t=tau_t, tau_t_start=tau_t_start
        )
        if base_temperature is not None:
            temperatures["base_temperature"] = base_temperature
        _check_range(self.weights, lambda value: value >= 0, "at least 0")
        if not any(self.weights.values()):
            raise ValueError(f"model.head: one of {', '.join(self.weights)} must be above 0")
        _check_range(temperatures, lambda value: value > 0, "above 0")
        shares = dict(tau_t_warmup=tau_t_warmup, centre_momentum=centre_momentum)
        _check_range(shares, lambda value: 0 <= value <= 1, "in [0, 1]")
        self.temperature = temperature
        self.level = level
        self.negatives = negatives
        self.base_temperature = base_temperature
        self.tau_s = tau_s
        self.tau_t = tau_t
        self.tau_t_start = tau_t_start
        self.tau_t_warmup = tau_t_warmup
        self.centre_momentum = centre_momentum
        centre = None if centre_channels is None else torch.zeros(centre_channels)
        self.register_buffer("centre", centre)

    @property
    def distils(self):
        """Whether L_a is on, which needs the teacher's vectors of view 1."""
        return self.weights["affinity_weight"] > 0

    def forward(self, image, points, affinity, ids):
        """Losses by name.

        Args:
            image: ``(query, key, negatives)``, ``(B, D)``, ``(B, D)`` and ``(Q, D)``.
            points: ``(query, key)``, ``(B, P, N, D)`` each.
            affinity: ``(student, teacher, key)``, ``(B, P, N, D')`` each; ``None`` if L_a is off.
            ids: ``(query_ids, key_ids)``, ``(B, P)`` int64 each. All vectors are L2-normalised.
        """
        losses = {}
        if self.weights["image_weight"]:
            losses["loss_image"] = info_nce(*image, self.temperature)
        if self.weights["contrast_weight"]:
            losses["loss_contrast"] = self.contrast(*points, *ids)
        if self.distils:
            losses["loss_affinity"] = self.distil(*affinity, ids)
        return {
            name: loss * self.weights[name.replace("loss_", "") + "_weight"]
            for name, loss in losses.items()
        }

    def contrast(self, query, key, query_ids, key_ids):
        """L_c of ``(B, P, N, D)`` vectors with ``(B, P)`` ids, as the switches say."""
        if self.level == "region":
            query, key = (F.normalize(v.mean(dim=2, keepdim=True), dim=-1) for v in (query, key))
        if self.negatives == "batch":  # one image with the regions of all
            query, key = (vectors.flatten(0, 1)[None] for vectors in (query, key))
            query_ids, key_ids = (across_images(i).flatten()[None] for i in (query_ids, key_ids))
        if self.base_temperature is not None:
            return two_view_contrast(query, key, query_ids, self.temperature, self.base_temperature)
        matched = self.level == "point"
        return point_region_contrast(query, key, query_ids, key_ids, self.temperature, matched)

    def distil(self, student, teacher, key, ids):
        """L_a of ``(B, P, N, D)`` vectors with two ``(B, P)`` ids; moves the centre afterwards."""
        tau_t = self.teacher_temperature()
        loss = point_affinity_distillation(
            student, teacher, key, ids, self.tau_s, tau_t, self.centre
        )
        if self.centre is not None and self.training:
            self._move_centre(teacher[ids[0] >= 0].flatten(0, 1))
        return loss

    def teacher_temperature(self):
        """tau_t of this iteration.

        Raises:
            RuntimeError: there is a warm-up but MMEngine's ``max_iters`` is not known.
        """
        if self.tau_t_warmup == 0 or self.tau_t_start == self.tau_t:
            return self.tau_t
        total = total_iterations("model.head.tau_t_warmup", "tau_t_warmup=0")
        iteration = MessageHub.get_current_instance().get_info("iter", 0)
        risen = min(1.0, iteration / (self.tau_t_warmup * total))
        return self.tau_t_start + (self.tau_t - self.tau_t_start) * risen

    @torch.no_grad()
    def _move_centre(self, vectors):
        """Towards the mean of ``(K, D)`` teacher vectors of all ranks; K may be 0."""
        sums = torch.cat([vectors.float().sum(dim=0), vectors.new_tensor([len(vectors)])])
        all_reduce(sums)
        mean = sums[:-1] / sums[-1].clamp(min=1)
        weight = (1 - self.centre_momentum) * (sums[-1] > 0)
        self.centre += weight * (mean - self.centre)


def _check_range(values, good, wanted):
    for name, value in values.items():
        if not good(value):
            raise ValueError(f"model.head.{name}={value} must be {wanted}")
