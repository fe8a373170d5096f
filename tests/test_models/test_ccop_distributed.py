"""CCOP in two gloo processes: regions travel to the rank that holds their shuffled image."""

import pytest
import torch
from test_distributed import in_two_processes
from tiny_ccop import tiny_batch, tiny_model
from tiny_models import total, trainable

from mmregioncon.models.modules import BatchShuffle, BoxNoise, candidate_boxes
from mmregioncon.structures import batch_regions

# Regions of each image of each rank
COUNTS = [((3, 0, 2), (1, 4, 2)), ((2, 1), (3,)), ((0, 0), (2, 3)), ((0,), (0,))]


def batch_of(rank, counts):
    return tiny_batch(counts[rank], seed=rank)


def tiny_eval_model():
    """Without dropout and BatchNorm's batch statistics, and with jitters that depend on the box."""
    model = tiny_model().eval()

    def draw(boxes, size):
        steps = torch.arange(1, 6)[None, :, None]
        return candidate_boxes(
            boxes, (boxes[:, None] * 0.37 * steps) % 1, BoxNoise(1, 1, 0.5), size
        )

    model._draw_candidates = draw
    return model


@torch.no_grad()
def keys_and_losses(model, batch):
    torch.manual_seed(0)
    rois = batch_regions(batch[1], 1).rois
    return model.key_candidates(batch[0][1], rois), model(*batch, mode="loss")


def carry(rank, counts):
    """Rois go to where their image is: each finds its image's number there."""
    start = sum(len(counts[other]) for other in range(rank))
    numbers = torch.arange(start, start + len(counts[rank]), dtype=torch.float32)
    rois = batch_regions(batch_of(rank, counts)[1], 1).rois
    shuffle = BatchShuffle(len(numbers), "cpu")
    held, moved = shuffle.shuffle(numbers[:, None]), shuffle.shuffle_rois(rois)
    found = torch.cat([held[moved[:, 0].long()], moved[:, 1:]], dim=1)
    expected = torch.cat([numbers[rois[:, 0].long()][:, None], rois[:, 1:]], dim=1)
    return torch.equal(shuffle.unshuffle_rois(found), expected)


def train(rank, counts):
    """Two steps under DDP, one rank without any region."""
    model = tiny_model()
    wrapped = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(trainable(model), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        total(wrapped(*batch_of(rank, counts), mode="loss")).backward()
        optimizer.step()
    queues = dict(queue=model.queue.state_dict(), roi_queue=model.roi_queue.state_dict())
    return dict(parameters=dict(model.named_parameters()), **queues)


def all_work(rank, out):
    model = tiny_eval_model()
    found = {}
    for counts in COUNTS:
        torch.manual_seed(rank)
        found["carried", counts] = all(carry(rank, counts) for _ in range(4))
        found["step", counts] = keys_and_losses(model, batch_of(rank, counts))
    found["trained"] = train(rank, COUNTS[2])
    torch.save(found, out / f"rank{rank}.pth")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What each rank found; starting the processes takes most of the time."""
    out = tmp_path_factory.mktemp("two_processes")
    in_two_processes(all_work, out)
    return [torch.load(out / f"rank{rank}.pth", weights_only=True) for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("counts", COUNTS)
def test_regions_find_their_image(results, counts):
    assert all(result["carried", counts] for result in results)


@pytest.mark.slow
@pytest.mark.parametrize("counts", COUNTS)
def test_two_ranks_do_what_one_does(results, counts):
    for rank, result in enumerate(results):
        alone = keys_and_losses(tiny_eval_model(), batch_of(rank, counts))
        torch.testing.assert_close(result["step", counts], alone)


@pytest.mark.slow
def test_a_rank_without_regions_stays_equal_to_the_other(results):
    first, second = (result["trained"] for result in results)
    start = dict(tiny_model().named_parameters())
    for name, parameter in first["parameters"].items():
        assert torch.equal(parameter, second["parameters"][name]), name
    moved = [n for n in start if not torch.equal(first["parameters"][n], start[n])]
    assert {name.split(".")[0] for name in moved} >= {"backbone", "neck", "roi_projector"}
    for queue, position in (("queue", 8), ("roi_queue", 10)):
        torch.testing.assert_close(first[queue], second[queue], rtol=0, atol=0)
        assert first[queue]["position"] == position
