"""The queue of negatives on one rank; test_batch_shuffle.py has it on two."""

from collections import deque

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmregioncon.models.heads import info_nce
from mmregioncon.models.modules import MemoryQueue

LENGTH = 7


def numbered(first, count):
    """Keys that can be told apart: ``(count, 2)``."""
    return torch.arange(first, first + count).float()[:, None].expand(-1, 2)


def oldest_first(queue):
    return queue.negatives().roll(-int(queue.position), dims=0)


def test_starts_with_random_unit_vectors():
    queue = MemoryQueue(length=50, dim=8)
    torch.testing.assert_close(queue.negatives().norm(dim=1), torch.ones(50))
    assert queue.negatives().unique(dim=0).shape == (50, 8)
    assert not list(queue.parameters())


@given(counts=st.lists(st.integers(0, LENGTH), max_size=12))
@settings(max_examples=60)
def test_no_key_is_lost_or_doubled(counts):
    queue = MemoryQueue(LENGTH, dim=2)
    expected = deque(queue.negatives().tolist(), maxlen=LENGTH)
    first = 1
    for count in counts:
        keys = numbered(first, count)
        queue.enqueue(keys)
        expected.extend(keys.tolist())
        first += count
        assert oldest_first(queue).tolist() == list(expected)
    assert queue.position.item() == sum(counts) % LENGTH


def test_equals_the_release_until_it_drops_keys(golden):
    data = {k: torch.from_numpy(v) for k, v in golden("plrc_nce").items() if k.startswith("upd")}
    queue = MemoryQueue(16, dim=128)
    for step in range(6):
        position, keys = queue.position.item(), data[f"upd{step}_keys"]
        queue.enqueue(keys)
        fits = min(len(keys), 16 - position)
        released = data[f"upd{step}_queue"]
        places = slice(position, position + fits)
        torch.testing.assert_close(queue.negatives()[places], released[places])
        torch.testing.assert_close(queue.negatives()[: len(keys) - fits], keys[fits:])
        # go on where the release is
        queue.load_state_dict(dict(keys=released, position=data[f"upd{step}_ptr"].view(1)))


def test_more_keys_than_places():
    queue = MemoryQueue(LENGTH, dim=2)
    before = queue.negatives().clone()
    message = r"8 keys of one step .* a queue of 7: .*model\.queue\.length.*batch_size"
    with pytest.raises(ValueError, match=message):
        queue.enqueue(numbered(0, 8))
    assert torch.equal(queue.negatives(), before) and queue.position == 0


@pytest.mark.parametrize("length", [0, -1])
def test_length_must_be_positive(length):
    with pytest.raises(ValueError, match=f"length={length} must be at least 1"):
        MemoryQueue(length)


def test_a_checkpoint_goes_on_where_it_was():
    queue, resumed = MemoryQueue(LENGTH, dim=2), MemoryQueue(LENGTH, dim=2)
    queue.enqueue(numbered(1, 5))
    resumed.load_state_dict(queue.state_dict())
    for one in (queue, resumed):
        one.enqueue(numbered(6, 4))
    assert torch.equal(resumed.negatives(), queue.negatives())
    assert torch.equal(resumed.position, queue.position)
    assert oldest_first(resumed)[:, 0].tolist() == [3, 4, 5, 6, 7, 8, 9]


def test_keys_of_half_precision_and_with_a_graph():
    queue = MemoryQueue(LENGTH, dim=2)
    keys = torch.randn(3, 2, requires_grad=True)
    queue.enqueue(keys.bfloat16())
    assert queue.negatives().dtype == torch.float32 and not queue.negatives().requires_grad
    assert torch.equal(queue.negatives()[:3], keys.detach().bfloat16().float())


def test_negatives_stay_as_they_were_when_given():
    """The backward pass comes after the next keys are in."""
    queue = MemoryQueue(LENGTH, dim=2)
    query = torch.randn(3, 2, requires_grad=True)
    keys, negatives = torch.randn(3, 2), queue.negatives()
    before = negatives.clone()
    (expected,) = torch.autograd.grad(info_nce(query, keys, before), query)
    loss = info_nce(query, keys, negatives)
    queue.enqueue(keys)
    loss.backward()
    assert torch.equal(negatives, before) and not torch.equal(queue.negatives(), before)
    torch.testing.assert_close(query.grad, expected)
