"""Two gloo processes on the CPU: a step under DDP, and random states of all ranks."""

import tempfile
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from tiny_models import total, trainable
from tiny_soco import tiny_batch, tiny_model

from mmregioncon.engine.hooks.rng_state import RNGStateHook, get_rng_state

WORLD = 2
# Side of the boxes relative to the view: rank 0 has regions on the finest level alone, rank 1 on
# the coarser ones.
SIDES = ((0.1, 0.15), (0.7, 0.9))


def in_two_processes(work, *args):
    """Run ``work(rank, *args)`` in two processes that form a group."""
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_join_and_work, args=(f"file://{folder}/group", work, args), nprocs=WORLD)


def _join_and_work(rank, meet, work, args):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=meet, rank=rank, world_size=WORLD, timeout=timedelta(minutes=10)
    )
    try:
        work(rank, *args)
    finally:
        dist.destroy_process_group()


def train(rank, out, skip_unused_levels):
    """Two steps on batches whose regions lie on other levels on each rank."""
    model = tiny_model(skip_unused_levels=skip_unused_levels)
    wrapped = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(trainable(model), lr=0.1)
    for step in range(2):
        batch = tiny_batch(batch_size=2, sizes=(64, 64), seed=10 * rank + step, side=SIDES[rank])
        optimizer.zero_grad()
        total(wrapped(*batch, mode="loss")).backward()
        optimizer.step()
    torch.save(dict(model.named_parameters()), out / f"trained_{skip_unused_levels}_rank{rank}.pth")


class Runner:
    _resume = True
    hooks = ()

    class logger:
        @staticmethod
        def warning(message):
            raise AssertionError(message)


def save_and_resume(rank, out):
    """Each rank has its own generators; the checkpoint of rank 0 gives each its own back."""
    torch.manual_seed(100 + rank)
    hook, checkpoint = RNGStateHook(), {}
    hook.after_train_epoch(Runner)
    hook.before_save_checkpoint(Runner, checkpoint)
    expected = torch.rand(4)
    if rank == 0:
        torch.save(checkpoint, out / "epoch_1.pth")
    dist.barrier()
    torch.manual_seed(7)
    resumed = RNGStateHook()
    resumed.after_load_checkpoint(Runner, torch.load(out / "epoch_1.pth", weights_only=True))
    resumed.before_train(Runner)
    assert torch.equal(torch.rand(4), expected)
    torch.save(expected, out / f"drawn_rank{rank}.pth")


def all_work(rank, out):
    for skip_unused_levels in (True, False):
        train(rank, out, skip_unused_levels)
    save_and_resume(rank, out)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Folder with what two processes wrote; starting them takes most of the time."""
    out = tmp_path_factory.mktemp("two_processes")
    in_two_processes(all_work, out)
    return out


def of_both_ranks(folder, name):
    return [
        torch.load(folder / f"{name}_rank{rank}.pth", weights_only=True) for rank in range(WORLD)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("skip_unused_levels", [True, False])
def test_ranks_with_regions_on_other_levels_stay_equal(results, skip_unused_levels):
    first, second = of_both_ranks(results, f"trained_{skip_unused_levels}")
    start = dict(tiny_model(skip_unused_levels=skip_unused_levels).named_parameters())
    for name, parameter in first.items():
        assert torch.equal(parameter, second[name]), name
    moved = {name for name in first if not torch.equal(first[name], start[name])}
    for name in ("neck.fpn_convs.0.conv.weight", "neck.fpn_convs.3.conv.weight"):
        assert name in moved, "a level's gradient comes from the rank that has regions on it"
    assert "teacher.module.neck.fpn_convs.0.conv.weight" in moved


@pytest.mark.slow
def test_random_states_of_all_ranks_are_in_the_checkpoint(results):
    states = torch.load(results / "epoch_1.pth", weights_only=True)["rng_states"]
    assert len(states) == WORLD and states[0].keys() == get_rng_state().keys()
    first, second = of_both_ranks(results, "drawn")
    assert not torch.equal(first, second)
