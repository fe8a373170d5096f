"""PLRC in two gloo processes: the joint batch's loss, and ranks that stay equal."""

import pytest
import torch
from test_distributed import WORLD, in_two_processes, of_both_ranks
from tiny_models import total, trainable
from tiny_plrc import tiny_plrc, tiny_points

OPTIONS = {"head.centre_channels": 16}


def share(batch, rank, images):
    """This rank's part of a batch."""
    inputs, samples = batch
    part = slice(rank * images, (rank + 1) * images)
    return [view[part] for view in inputs], samples[part]


def losses_of_a_share(rank, out):
    """In eval mode: BatchNorm does not mix images, and the queue is as it was."""
    losses = tiny_plrc(**OPTIONS).eval()(*share(tiny_points(), rank, 2), mode="loss")
    torch.save(losses, out / f"losses_rank{rank}.pth")


def train(rank, out):
    """Two steps under DDP; rank 1 has no regions in the first."""
    model = tiny_plrc(**OPTIONS)
    wrapped = torch.nn.parallel.DistributedDataParallel(model, broadcast_buffers=False)
    optimizer = torch.optim.SGD(trainable(model), lr=0.1)
    for step in range(2):
        inputs, samples = tiny_points(batch_size=2, seed=10 * rank + step)
        if rank == 1 and step == 0:
            for view in (view for sample in samples for view in sample.views):
                view.ids[:] = -1
        optimizer.zero_grad()
        total(wrapped(inputs, samples, mode="loss")).backward()
        optimizer.step()
    shared = dict(model.named_parameters(), keys=model.queue.negatives(), centre=model.head.centre)
    torch.save(shared, out / f"trained_rank{rank}.pth")


def all_work(rank, out):
    losses_of_a_share(rank, out)
    train(rank, out)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Folder with what two processes wrote."""
    out = tmp_path_factory.mktemp("plrc_in_two_processes")
    in_two_processes(all_work, out)
    return out


@pytest.mark.slow
def test_the_loss_is_that_of_the_joint_batch(results):
    joint = tiny_plrc(**OPTIONS).eval()(*tiny_points(), mode="loss")
    of_ranks = of_both_ranks(results, "losses")
    for name, loss in joint.items():
        mean = sum(losses[name] for losses in of_ranks) / WORLD
        torch.testing.assert_close(mean, loss)


@pytest.mark.slow
def test_ranks_stay_equal(results):
    first, second = of_both_ranks(results, "trained")
    start = tiny_plrc(**OPTIONS)
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    assert first["centre"].any()
    # two steps of two ranks with two images each
    assert not torch.isclose(first["keys"][:8], start.queue.negatives()[:8]).all(dim=1).any()
    assert torch.equal(first["keys"][8:], start.queue.negatives()[8:])
