import math

import numpy as np
import pytest
import torch

from mmregioncon.models.heads import SoCoHead, region_cosine_loss


def tensors(golden, *names):
    return [torch.from_numpy(golden[name]) for name in names]


def check_against(golden, query, key, query_ids, key_ids, loss, grad):
    """The golden vectors have unit length, and the original took its gradient at them as given.

    Ours normalises, so its gradient is the part of that one across the vector.
    """
    query.requires_grad_()
    ours = region_cosine_loss(query, key, query_ids, key_ids)
    (gradient,) = torch.autograd.grad(ours, query)
    unit = query.detach()
    across = grad - (grad * unit).sum(-1, keepdim=True) * unit
    torch.testing.assert_close(ours.detach(), loss, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(gradient, across, rtol=1e-4, atol=1e-7)


def test_loss_and_gradient_of_level_box_slots(golden):
    data = golden("soco_loss")
    q, k, ids_q, ids_k, loss, grad, match = tensors(
        data,
        "vectors_q",
        "vectors_k",
        "ids_assigned1",
        "ids_assigned2",
        "loss",
        "grad_q",
        "correspondence",
    )
    assert (ids_q < 0).any() and match.any()
    check_against(data, q, k, ids_q.long(), ids_k.long(), loss, grad)


def test_loss_and_gradient_of_c4(golden):
    names = ("c4_vectors_q", "c4_vectors_k", "c4_ids1", "c4_ids2", "c4_loss", "c4_grad_q")
    q, k, ids_q, ids_k, loss, grad = tensors(golden("soco_loss"), *names)
    q, k, grad = (x.view(3, 4, -1).clone() for x in (q, k, grad))
    check_against(golden("soco_loss"), q, k, ids_q, ids_k, loss, grad)


def naive_loss(query, key, query_ids, key_ids):
    per_image = []
    for q, k, iq, ik in zip(query, key, query_ids, key_ids):
        found = [
            np.dot(q[s], k[t]) / np.linalg.norm(q[s]) / np.linalg.norm(k[t])
            for s in range(len(q))
            for t in range(len(k))
            if iq[s] == ik[t] and iq[s] >= 0
        ]
        per_image.append(sum(found) / (len(found) + 1e-6))
    return -2 * sum(per_image) / len(per_image)


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("slots", [(1, 1), (4, 4), (4, 16)])
@pytest.mark.parametrize("dims", [2, 17])
@pytest.mark.parametrize("num_ids", [1, 5])
def test_equals_a_naive_loop(images, slots, dims, num_ids):
    rng = np.random.default_rng(0)
    q, k = (rng.normal(size=(images, s, dims)) for s in slots)
    ids = [rng.integers(-1, num_ids, (images, s)) for s in slots]
    ours = region_cosine_loss(*(torch.from_numpy(x) for x in (q, k, *ids)))
    assert float(ours) == pytest.approx(naive_loss(q, k, *ids), abs=1e-6)


def unit(*angles):
    return torch.tensor([[[math.cos(a), math.sin(a)] for a in angles]])


@pytest.mark.parametrize(
    "query, key, query_ids, key_ids, loss",
    [
        (unit(0.3), unit(0.3), [[5]], [[5]], -2.0),
        (unit(0.3), 7 * unit(0.3), [[5]], [[5]], -2.0),
        (unit(0.3), unit(0.3 + math.pi), [[5]], [[5]], 2.0),
        (unit(0), unit(math.pi / 2), [[5]], [[5]], 0.0),
        # only the match counts, not the slot
        (unit(0.3, 2), unit(1, 0.3), [[5, 6]], [[7, 5]], -2.0),
        # a repeated region matches in each of its slots
        (unit(0, 0), unit(0, math.pi / 2), [[5, 5]], [[5, 5]], -1.0),
        # no match: other ids, or empty slots, which match nothing, not even each other
        (unit(0), unit(0), [[5]], [[6]], 0.0),
        (unit(0), unit(0), [[-1]], [[-1]], 0.0),
        # an empty slot beside a match changes nothing
        (unit(0, 1), unit(0, 1), [[5, -1]], [[5, -1]], -2.0),
    ],
)
def test_known_losses(query, key, query_ids, key_ids, loss):
    query.requires_grad_()
    ids = (torch.tensor(query_ids), torch.tensor(key_ids))
    ours = region_cosine_loss(query, key, *ids)
    ours.backward()
    assert ours.item() == pytest.approx(loss, abs=1e-5)
    assert query.grad.isfinite().all()


def test_an_image_without_matches_counts_as_zero():
    ids = torch.tensor([[0], [1]]), torch.tensor([[0], [2]])
    same = unit(0).expand(2, -1, -1)
    assert float(region_cosine_loss(same, same, *ids)) == pytest.approx(-1.0, abs=1e-5)


def test_zero_vectors_give_finite_gradients():
    query = torch.zeros(2, 3, 4, requires_grad=True)
    ids = torch.zeros(2, 3, dtype=torch.long)
    region_cosine_loss(query, torch.zeros(2, 3, 4), ids, ids).backward()
    assert query.grad.isfinite().all()


def test_half_precision_vectors_are_compared_in_float32():
    query, ids = torch.randn(2, 4, 64, generator=torch.manual_seed(0)), torch.arange(8).view(2, 4)
    half = query.bfloat16()
    loss = region_cosine_loss(half, half, ids, ids)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(-2.0, abs=1e-5)


def test_head_is_symmetric_and_its_minimum_is_minus_four():
    generator = torch.manual_seed(0)
    queries, keys = (torch.randn(2, 3, 4, 8, generator=generator).unbind() for _ in range(2))
    ids = (torch.arange(4).expand(3, 4), torch.arange(4).flip(0).expand(3, 4))
    head = SoCoHead()
    loss = head(queries, keys, ids)
    torch.testing.assert_close(loss, head(queries[::-1], keys[::-1], ids[::-1]))
    forth = region_cosine_loss(queries[0], keys[1], ids[0], ids[1])
    back = region_cosine_loss(queries[1], keys[0], ids[1], ids[0])
    torch.testing.assert_close(loss, forth + back)
    # each query equal to the key of its region, which sits in the opposite slot
    perfect = (keys[1].flip(1), keys[0].flip(1))
    assert float(head(perfect, keys, ids)) == pytest.approx(-4.0, abs=1e-5)


def test_no_gradient_flows_into_the_keys():
    key = torch.randn(2, 4, 8, requires_grad=True)
    query = torch.randn(2, 4, 8, requires_grad=True)
    ids = torch.arange(4).expand(2, 4)
    region_cosine_loss(query, key, ids, ids).backward()
    assert key.grad is None and query.grad.abs().sum() > 0
