"""What gathers across ranks, in two gloo processes: unequal batches, shuffle-BN, the queue."""

import pytest
import torch
from test_distributed import in_two_processes

from mmregioncon.models.modules import BatchShuffle, MemoryQueue, gather_unequal

# Images of each rank
COUNTS = [(6, 6), (3, 1), (0, 2), (1, 0), (0, 0)]


def rows(rank, counts, *shape):
    """Rows of one rank, numbered through the joint batch."""
    start = sum(counts[:rank])
    numbers = torch.arange(start, start + counts[rank], dtype=torch.float32)
    return numbers.view(-1, *[1] * len(shape)).expand(-1, *shape)


def gather(rank, counts):
    joint, found = gather_unequal(rows(rank, counts, 2, 3).clone().requires_grad_())
    return dict(joint=joint, counts=found)


def shuffle(rank, counts):
    torch.manual_seed(rank)  # ranks must agree though their generators do not
    batch = BatchShuffle(counts[rank], "cpu")
    views = [rows(rank, counts, 3, 4, 4), rows(rank, counts, 2)]
    views[1] = views[1].double() + 0.5
    shuffled = [batch.shuffle(view) for view in views]
    back = [batch.unshuffle(view) for view in shuffled]
    same = all(torch.equal(one, other) for one, other in zip(views, back))
    return dict(shuffled=shuffled, same=same)


def fill_queue(rank, *counts):
    torch.manual_seed(0)
    queue = MemoryQueue(length=7, dim=2)
    for step in counts:
        queue.enqueue(rows(rank, step, 2).bfloat16() + 10)
    return queue.state_dict()


def overfill_queue(rank, counts):
    with pytest.raises(ValueError, match="4 keys of one step do not fit into a queue of 3"):
        MemoryQueue(length=3, dim=2).enqueue(rows(rank, counts, 2))


def all_work(rank, out):
    found = {("gather", counts): gather(rank, counts) for counts in COUNTS}
    found.update({("shuffle", counts): shuffle(rank, counts) for counts in COUNTS})
    found["queue"] = fill_queue(rank, (2, 2), (3, 1), (0, 2), (0, 0))
    overfill_queue(rank, (3, 1))
    torch.save(found, out / f"rank{rank}.pth")


slow = pytest.mark.slow  # two processes that import everything


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What each rank found; starting the processes takes most of the time."""
    out = tmp_path_factory.mktemp("two_processes")
    in_two_processes(all_work, out)
    return [torch.load(out / f"rank{rank}.pth", weights_only=True) for rank in range(2)]


@slow
@pytest.mark.parametrize("counts", COUNTS)
def test_gathers_any_numbers_in_the_order_of_ranks(results, counts):
    expected = torch.arange(sum(counts)).float().view(-1, 1, 1).expand(-1, 2, 3)
    for result in results:
        found = result["gather", counts]
        assert torch.equal(found["joint"], expected) and found["counts"] == list(counts)
        assert not found["joint"].requires_grad


@slow
@pytest.mark.parametrize("counts", COUNTS)
def test_shuffled_batches_are_a_permutation_of_the_joint_one(results, counts):
    by_rank = [result["shuffle", counts]["shuffled"] for result in results]
    assert [len(first) for first, _ in by_rank] == list(counts)
    joint = torch.cat([first[:, 0, 0, 0] for first, _ in by_rank])
    assert sorted(joint.tolist()) == list(range(sum(counts)))
    both = torch.cat([second[:, 0] for _, second in by_rank])
    assert torch.equal(both, joint.double() + 0.5), "views of an image stay together"


@slow
@pytest.mark.parametrize("counts", COUNTS)
def test_unshuffle_brings_everything_home(results, counts):
    assert all(result["shuffle", counts]["same"] for result in results)


@slow
def test_images_change_ranks(results):
    by_rank = [result["shuffle", (6, 6)]["shuffled"][0][:, 0, 0, 0] for result in results]
    assert by_rank[0].max() >= 6 and by_rank[1].min() < 6


@slow
def test_queue_is_the_same_on_all_ranks(results):
    first, second = (result["queue"] for result in results)
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    # ten keys: 4, 4 and 2, rank after rank
    keys = [10.0, 11, 12, 13, 10, 11, 12, 13, 10, 11]
    assert first["position"].item() == 3
    assert first["keys"].roll(-3, dims=0)[:, 0].tolist() == keys[3:]


def test_one_rank_alone_moves_nothing():
    batch, view = BatchShuffle(3, "cpu"), torch.randn(3, 2, requires_grad=True)
    assert torch.equal(batch.unshuffle(batch.shuffle(view)), view)
    assert torch.equal(batch.shuffle(view), view)
    joint, counts = gather_unequal(view)
    assert torch.equal(joint, view) and counts == [3] and not joint.requires_grad
