"""PLRC's losses, against golden values, loops in float64 and by hand."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub

from mmregioncon.models.heads import (
    PLRCHead,
    point_affinity_distillation,
    point_region_contrast,
)


def vectors(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=dtype), dim=-1)


def some_ids(images, slots, seed=0):
    """Ids unique in an image, in another order in the second view, some slots empty."""
    rng = np.random.default_rng(seed)
    first = np.stack([rng.permutation(slots + 2)[:slots] for _ in range(images)])
    first[rng.random(first.shape) < 0.25] = -1
    second = np.stack([rng.permutation(row) for row in first])
    return torch.from_numpy(first), torch.from_numpy(second)


@pytest.mark.parametrize("case", ["s", "m"])
def test_released_contrast_is_that_of_the_original(golden, case):
    data = {name: torch.from_numpy(np.asarray(v)) for name, v in golden("plrc_supcon").items()}
    query, key, grad = (  # B C 1 N -> B 1 N C
        data[f"{case}_{name}"].permute(0, 2, 3, 1) for name in ("q", "p", "grad_q")
    )
    query = query.clone().requires_grad_()
    head = PLRCHead(
        temperature=float(data["temperature"]),
        base_temperature=float(data["base_temperature"]),
        negatives="batch",
    )
    ids = torch.zeros(len(query), 1, dtype=torch.long)  # one region an image, of the same id
    loss = head.contrast(query, key, ids, ids)
    torch.testing.assert_close(loss.detach(), data[f"{case}_loss"])
    torch.testing.assert_close(torch.autograd.grad(loss, query)[0], grad)


def naive_contrast(query, key, query_ids, key_ids, temperature, level, negatives):
    """L_c from the definition: one query point after the other."""
    if level == "region":
        query, key = (v.mean(2, keepdim=True) for v in (query, key))
        query, key = (v / v.norm(dim=-1, keepdim=True) for v in (query, key))
    images, slots, points, _ = query.shape
    losses = []
    for b in range(images):
        for p in range(slots):
            for n in range(points):
                denominator, positives = 0.0, []
                for other in range(images):
                    if negatives == "image" and other != b:
                        continue
                    for r in range(slots):
                        for m in range(points):
                            if key_ids[other, r] < 0:
                                continue
                            score = float(query[b, p, n] @ key[other, r, m]) / temperature
                            denominator += math.exp(score)
                            same = other == b and key_ids[other, r] == query_ids[b, p]
                            if same and (level != "point" or m == n):
                                positives.append(score)
                if query_ids[b, p] >= 0 and positives:
                    terms = [score - math.log(denominator) for score in positives]
                    losses.append(-sum(terms) / len(terms))
    return sum(losses) / len(losses) if losses else 0.0


@pytest.mark.parametrize("level", ["point-region", "point", "region"])
@pytest.mark.parametrize("negatives", ["image", "batch"])
@pytest.mark.parametrize("shape", [(1, 2, 1), (2, 3, 4), (3, 4, 2)])
@pytest.mark.parametrize("temperature", [0.07, 0.2])
def test_contrast_equals_a_naive_loop(level, negatives, shape, temperature):
    query, key = vectors(*shape, 5, seed=1), vectors(*shape, 5, seed=2)
    ids = some_ids(*shape[:2], seed=sum(shape))
    head = PLRCHead(temperature=temperature, level=level, negatives=negatives)
    expected = naive_contrast(query, key, *ids, temperature, level, negatives)
    assert float(head.contrast(query, key, *ids)) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def naive_affinity(student, teacher, key, query_ids, key_ids, tau_s, tau_t, centre):
    losses = []
    for b in range(len(student)):
        keys = key[b][key_ids[b] >= 0].flatten(0, 1)
        for s, t in zip(student[b][query_ids[b] >= 0], teacher[b][query_ids[b] >= 0]):
            for one, other in zip(s, t):
                target = ((keys @ other - keys @ centre) / tau_t).softmax(0)
                losses.append(-(target * (keys @ one / tau_s).log_softmax(0)).sum())
    return float(sum(losses) / len(losses))


@pytest.mark.parametrize("shape", [(1, 2, 1), (2, 3, 4), (3, 4, 2)])
@pytest.mark.parametrize("taus", [(0.1, 0.04), (0.1, 0.07), (0.3, 0.2)])
@pytest.mark.parametrize("centred", [False, True])
def test_affinity_equals_a_naive_loop(shape, taus, centred):
    student, teacher, key = (vectors(*shape, 5, seed=s) for s in (1, 2, 3))
    ids = some_ids(*shape[:2], seed=sum(shape))
    centre = 0.5 * vectors(5, seed=4) * centred
    expected = naive_affinity(student, teacher, key, *ids, *taus, centre)
    ours = point_affinity_distillation(
        student, teacher, key, ids, *taus, centre.float() if centred else None
    )
    assert float(ours) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("regions, points", [(2, 1), (3, 4)])
def test_contrast_of_regions_that_are_known(regions, points):
    """Each region a direction of its own: the loss is log(N + (P - 1) N exp(-1 / tau))."""
    key = torch.eye(regions)[None, :, None].expand(1, regions, points, regions)
    ids = torch.arange(regions)[None]
    expected = math.log(points + (regions - 1) * points * math.exp(-1 / 0.2))
    assert float(point_region_contrast(key, key, ids, ids)) == pytest.approx(expected, rel=1e-5)
    matched = point_region_contrast(key, key, ids, ids, matched=True)
    assert float(matched) == pytest.approx(expected, rel=1e-5)
    moved = key.roll(1, dims=1)  # each point where another region's should be
    wrong = point_region_contrast(moved, key, ids, ids)
    assert float(wrong) == pytest.approx(expected + 5, rel=1e-5)


def test_affinities_that_agree_cost_their_entropy():
    query, key, ids = vectors(2, 3, 4, 5, seed=1), vectors(2, 3, 4, 5, seed=2), torch.arange(6)
    ids = [ids.view(2, 3)] * 2
    probs = (query.flatten(1, 2) @ key.flatten(1, 2).transpose(1, 2) / 0.1).softmax(2)
    entropy = float(-(probs * probs.log()).sum(2).mean())
    same = point_affinity_distillation(query, query, key, ids, 0.1, 0.1)
    assert float(same) == pytest.approx(entropy, rel=1e-5)
    other = point_affinity_distillation(vectors(2, 3, 4, 5, seed=3), query, key, ids, 0.1, 0.1)
    assert float(other) > entropy + 0.5


def head_inputs(images=2, slots=3, points=4, dim=5, empty=False):
    """Inputs of a head, with gradient where it belongs and where it must not arrive."""
    names = ("query", "key", "points", "key_points", "teacher")
    shapes = [(images, dim)] * 2 + [(images, slots, points, dim)] * 3
    made = {
        name: vectors(*shape, seed=seed, dtype=torch.float32).requires_grad_()
        for seed, (name, shape) in enumerate(zip(names, shapes))
    }
    ids = torch.arange(slots).expand(images, slots) - (slots if empty else 0)
    image = (made["query"], made["key"], vectors(7, dim, seed=9, dtype=torch.float32))
    points = (made["points"], made["key_points"])
    return made, (image, points, (made["points"], made["teacher"], made["key_points"]), [ids, ids])


@pytest.fixture(autouse=True)
def start_of_training():
    hub = MessageHub.get_current_instance()
    hub.update_info("max_iters", 100)
    hub.update_info("iter", 0)
    return hub


VARIANTS = [
    dict(),
    dict(level="region"),
    dict(level="point"),
    dict(negatives="batch"),
    dict(negatives="batch", base_temperature=0.07),
    dict(centre_channels=5),
]


@pytest.mark.parametrize("options", VARIANTS)
@pytest.mark.parametrize("empty", [False, True])
def test_gradient_reaches_the_online_vectors_only(options, empty):
    made, inputs = head_inputs(empty=empty)
    losses = PLRCHead(**options)(*inputs)
    assert list(losses) == ["loss_image", "loss_contrast", "loss_affinity"]
    sum(losses.values()).backward()
    assert made["query"].grad.any()
    assert made["points"].grad.isfinite().all() and bool(made["points"].grad.any()) != empty
    assert not any(made[name].grad is not None for name in ("key", "key_points", "teacher"))
    if empty:
        assert losses["loss_contrast"] == 0 and losses["loss_affinity"] == 0


def test_weights_are_those_of_their_own_terms():
    _, inputs = head_inputs()
    plain = PLRCHead(1.0, 1.0, 1.0)(*inputs)
    weighted = PLRCHead()(*inputs)
    for name, weight in dict(loss_image=0.7, loss_contrast=0.3, loss_affinity=0.3).items():
        torch.testing.assert_close(weighted[name], weight * plain[name])


@pytest.mark.parametrize("term", ["image", "contrast", "affinity"])
def test_a_weight_of_zero_drops_the_term(term):
    image, points, affinity, ids = head_inputs()[1]
    head = PLRCHead(**{f"{term}_weight": 0.0})
    losses = head(image, points, affinity if head.distils else None, ids)
    assert f"loss_{term}" not in losses and len(losses) == 2


@pytest.mark.parametrize(
    "iteration, tau", [(0, 0.04), (15, 0.055), (30, 0.07), (31, 0.07), (99, 0.07)]
)
def test_teacher_temperature_rises_in_the_first_part_of_training(start_of_training, iteration, tau):
    start_of_training.update_info("iter", iteration)
    assert PLRCHead().teacher_temperature() == pytest.approx(tau)


def test_warm_up_needs_the_length_of_training(start_of_training):
    start_of_training.pop_info("max_iters")
    assert PLRCHead(tau_t_warmup=0).teacher_temperature() == 0.07
    with pytest.raises(RuntimeError, match="tau_t_warmup needs MMEngine's 'max_iters'"):
        PLRCHead().teacher_temperature()


def test_centre_is_a_running_mean_of_valid_points_in_training_only():
    image, points, (student, teacher, key), ids = head_inputs()[1]
    ids = [torch.tensor([[0, 1, -1], [0, -1, -1]])] * 2
    head = PLRCHead(centre_channels=5).eval()
    head(image, points, (student, teacher, key), ids)
    assert not head.centre.any()
    head.train()(image, points, (student, teacher, key), ids)
    mean = teacher[ids[0] >= 0].flatten(0, 1).mean(0).detach()
    torch.testing.assert_close(head.centre, 0.1 * mean)
    before = head.centre.clone()
    empty = [torch.full((2, 3), -1)] * 2
    head(image, points, (student, teacher, key), empty)
    assert torch.equal(head.centre, before)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(level="pixel"), r"head.level='pixel'.*'point-region'"),
        (dict(negatives="queue"), r"head.negatives='queue'.*'image', 'batch'"),
        (dict(base_temperature=0.07), r"base_temperature=0.07.*negatives='batch'.*'image'"),
        (dict(base_temperature=0.07, negatives="batch", level="point"), "level='point-region'"),
        (dict(tau_s=0), "head.tau_s=0 must be above 0"),
        (dict(temperature=-0.2), "head.temperature=-0.2 must be above 0"),
        (dict(contrast_weight=-1), "head.contrast_weight=-1 must be at least 0"),
        (
            dict(image_weight=0, contrast_weight=0, affinity_weight=0),
            "head: one of image_weight, contrast_weight, affinity_weight must be above 0",
        ),
        (dict(tau_t_warmup=30), r"head.tau_t_warmup=30 must be in \[0, 1\]"),
    ],
)
def test_bad_options_are_refused_when_built(options, message):
    with pytest.raises(ValueError, match=message):
        PLRCHead(**options)


def test_half_precision_vectors_are_compared_in_float32():
    query, key = vectors(2, 3, 4, 16, seed=1), vectors(2, 3, 4, 16, seed=2)
    ids = torch.arange(6).view(2, 3)
    exact = point_region_contrast(query, key, ids, ids)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = point_region_contrast(query.bfloat16(), key.bfloat16(), ids, ids)
    assert loss.dtype == torch.float32 and abs(loss - exact) < 0.02
