import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmregioncon.models.heads import DetCoHead
from mmregioncon.models.modules import MemoryQueue

KINDS = ("global", "local")
TERMS = ("gg", "ll", "gl")


def by_kind(vectors, dim):
    """The record has four global stages, then four local ones."""
    return dict(zip(KINDS, vectors.split(4, dim)))


@pytest.fixture
def recorded(golden):
    return {name: torch.from_numpy(value) for name, value in golden("detco_unofficial").items()}


def test_loss_and_gradient_are_those_of_the_record(recorded):
    raw = recorded["q"].clone().requires_grad_()
    query, key = F.normalize(raw, dim=-1), F.normalize(recorded["k"], dim=-1)
    negatives = recorded["queue_before"].transpose(1, 2)
    losses = DetCoHead()(by_kind(query, 1), by_kind(key, 1), by_kind(negatives, 0))
    assert list(losses) == ["loss_gg", "loss_ll", "loss_gl"]
    weighted = recorded["losses"].view(3, 4) @ recorded["loss_weights"]
    ours = torch.stack(list(losses.values()))
    torch.testing.assert_close(ours.double(), weighted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.sum(), recorded["total"], rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad(ours.sum(), raw)
    torch.testing.assert_close(gradient, recorded["grad_q"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("stage", range(8))
def test_queues_are_those_of_the_record(recorded, stage):
    before, after = (recorded[f"queue_{when}"][stage].T for when in ("before", "after"))
    queue = MemoryQueue(len(before), dim=before.shape[1])
    queue.load_state_dict(dict(keys=before, position=recorded["ptr_before"].view(1)))
    queue.enqueue(F.normalize(recorded["k"][:, stage], dim=-1))
    torch.testing.assert_close(queue.negatives(), after)
    assert queue.position == recorded["ptr_after"]


def random_vectors(images, stages, length, dims=16):
    generator = torch.Generator().manual_seed(0)
    shapes = [(images, stages, dims)] * 2 + [(stages, length, dims)]
    return [
        {
            kind: F.normalize(torch.randn(shape, generator=generator, dtype=torch.float64), dim=-1)
            for kind in KINDS
        }
        for shape in shapes
    ]


def naive_loss(term, weights, temperature, queries, keys, negatives):
    query_kind = dict(gg="global", ll="local", gl="local")[term]
    key_kind = dict(gg="global", ll="local", gl="global")[term]
    q, k, n = (x.numpy() for x in (queries[query_kind], keys[key_kind], negatives[key_kind]))
    total = 0.0
    for stage, weight in enumerate(weights):
        for image in range(len(q)):
            logits = np.append(n[stage] @ q[image, stage], q[image, stage] @ k[image, stage])
            scores = np.exp(logits / temperature)
            total -= weight * np.log(scores[-1] / scores.sum()) / len(q)
    return total


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("weights", [(0.1, 0.4, 0.7, 1.0), (1.0,), (0.5, 2.0)])
@pytest.mark.parametrize("temperature", [0.1, 0.2])
@pytest.mark.parametrize("terms", [TERMS, ("gg",), ("ll",), ("gl", "gg")])
def test_equals_a_naive_loop(images, weights, temperature, terms):
    vectors = random_vectors(images, len(weights), length=9)
    losses = DetCoHead(terms, weights, temperature)(*vectors)
    expected = {
        f"loss_{term}": pytest.approx(naive_loss(term, weights, temperature, *vectors), rel=1e-4)
        for term in terms
    }
    assert {name: loss.item() for name, loss in losses.items()} == expected
    assert all(loss.dtype == torch.float32 for loss in losses.values())


def test_one_known_positive():
    """Query and key alike, all negatives across: log(1 + Q exp(-1 / tau)) at each stage."""
    first, second = torch.eye(2).view(2, 1, 1, 2)
    alike = dict.fromkeys(KINDS, first.expand(3, 4, 2))
    negatives = dict.fromkeys(KINDS, second.expand(4, 10, 2))
    losses = DetCoHead()(alike, alike, negatives)
    one_stage = math.log1p(10 * math.exp(-5))
    assert all(loss.item() == pytest.approx(2.2 * one_stage, rel=1e-4) for loss in losses.values())


def test_no_gradient_flows_into_keys():
    queries, keys, negatives = random_vectors(2, 4, length=5)
    for vectors in (queries, keys):
        for tensor in vectors.values():
            tensor.requires_grad_()
    sum(DetCoHead()(queries, keys, negatives).values()).backward()
    assert all(key.grad is None for key in keys.values())
    assert all(query.grad.any() for query in queries.values())


@pytest.mark.parametrize(
    "terms, message",
    [
        (("gg", "lg"), r"model.terms=\('gg', 'lg'\) must be some of \('gg', 'll', 'gl'\)"),
        ((), "must be some of"),
        (("gl",), "add 'gg', or leave 'gl' out"),
        (("ll", "gl"), "add 'gg', or leave 'gl' out"),
    ],
)
def test_terms_that_make_no_sense(terms, message):
    with pytest.raises(ValueError, match=message):
        DetCoHead(terms)
