import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmregioncon.models.heads import info_nce


def unit(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def naive_loss(query, key, negatives, temperature):
    per_row = []
    for q, k in zip(query.numpy(), key.numpy()):
        positive, others = np.exp(q @ k / temperature), np.exp(negatives.numpy() @ q / temperature)
        per_row.append(-np.log(positive / (positive + others.sum())))
    return np.mean(per_row)


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("length", [1, 33])
@pytest.mark.parametrize("dims", [2, 17])
@pytest.mark.parametrize("temperature", [0.07, 0.2, 1.0])
def test_equals_a_naive_loop(rows, length, dims, temperature):
    vectors = unit(rows, dims, seed=1), unit(rows, dims, seed=2), unit(length, dims, seed=3)
    loss = info_nce(*vectors, temperature)
    assert loss.dtype == torch.float32 and loss.ndim == 0
    assert loss.item() == pytest.approx(naive_loss(*vectors, temperature), rel=1e-4, abs=1e-6)


def test_equals_the_release_with_the_right_targets(golden):
    data = {name: torch.from_numpy(value) for name, value in golden("plrc_nce").items()}
    query, key = (F.normalize(data[name], dim=1) for name in "qk")
    loss = info_nce(query, key, data["queue_before"], data["T"])
    torch.testing.assert_close(loss, data["loss_targets_zero"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cosine", [-1.0, 0.0, 0.5, 1.0])
@pytest.mark.parametrize("length", [1, 10])
def test_one_known_positive(cosine, length):
    """All negatives across the query: the loss is log(1 + Q exp(-cos / tau))."""
    query = torch.tensor([[1.0, 0.0, 0.0]], requires_grad=True)
    key = torch.tensor([[cosine, math.sqrt(1 - cosine**2), 0.0]])
    loss = info_nce(query, key, torch.tensor([[0.0, 0.0, 1.0]]).expand(length, -1), 0.2)
    assert loss.item() == pytest.approx(math.log1p(length * math.exp(-cosine / 0.2)), rel=1e-5)
    loss.backward()
    assert query.grad.isfinite().all()


def test_each_query_has_the_key_of_its_own_row():
    keys = torch.eye(4)
    right = info_nce(keys, keys, torch.zeros(1, 4))
    wrong = info_nce(keys, keys.roll(1, 0), torch.zeros(1, 4))
    assert right < 0.01 < math.log(2) - 1e-3 < wrong


def test_no_queries_give_zero_with_a_graph():
    query = torch.zeros(0, 8, requires_grad=True)
    loss = info_nce(query, torch.zeros(0, 8), unit(5, 8).float())
    loss.backward()
    assert loss == 0 and loss.dtype == torch.float32 and query.grad.shape == (0, 8)


def test_only_queries_get_a_gradient():
    query, key = unit(3, 8, seed=1).requires_grad_(), unit(3, 8, seed=2).requires_grad_()
    info_nce(query, key, unit(5, 8, seed=3)).backward()
    assert key.grad is None and query.grad.abs().sum() > 0


def test_float32_under_autocast():
    vectors = [unit(4, 16, seed=seed).float() for seed in range(3)]
    exact = info_nce(*vectors)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = info_nce(*vectors)
        half = info_nce(*(vector.bfloat16() for vector in vectors))
    assert loss.dtype == half.dtype == torch.float32
    assert torch.equal(loss, exact), "nothing is rounded on the way"
    assert abs(half - exact) < 0.05
