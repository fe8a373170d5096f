"""CCOP as a whole, on a ResNet-18 of few channels."""

import numpy as np
import pytest
import torch
from tiny_ccop import tiny_batch, tiny_c4_model, tiny_model
from tiny_models import (
    check_bfloat16,
    check_gradients,
    finite_step,
    online_gradients,
    step,
    trainable,
)

from mmregioncon.models.algorithms import CCOP
from mmregioncon.models.heads import CCOPHead
from mmregioncon.models.modules import BoxNoise, MemoryQueue

NAMES = ["loss_image", "loss_object", "loss_intra"]
END = BoxNoise(offset=0.6, scale=1.4, min_iou=0.4)


def test_gradient_reaches_all_that_is_online_and_nothing_else():
    model = tiny_model()
    losses = step(model, tiny_batch(counts=(6, 6, 6)))
    assert list(losses) == NAMES and all(loss.ndim == 0 and loss > 0 for loss in losses.values())
    check_gradients(model, ["backbone", "neck", "projector", "roi_projector"])
    assert list(model.teacher.module) == ["backbone", "neck", "roi_head", "projector"] + [
        "roi_projector"
    ]


def test_c4_trains_backbone_and_shared_head():
    model = tiny_c4_model()
    for counts in ((3, 2), (0, 0)):
        losses = finite_step(model, tiny_batch(counts, size=32))
        assert list(losses) == NAMES
    names = [name for name in online_gradients(model) if "roi_head" in name]
    assert {".".join(name.split(".")[:2]) for name in names} == {"roi_head.shared_head"}
    assert not hasattr(model, "neck")
    assert all(b.isfinite().all() for b in model.buffers()), "statistics of no region at all"


def test_first_view_is_the_query_and_second_the_key():
    model, batch = tiny_model(), tiny_batch()
    assert model.backbone_inputs(batch[0]) == ([batch[0][0]], [batch[0][1]])
    step(model, batch)
    for backbone, view in zip((model.backbone, model.teacher.module["backbone"]), batch[0]):
        assert backbone.bn1.num_batches_tracked == 1
        mean = backbone.conv1(view).mean(dim=(0, 2, 3))
        torch.testing.assert_close(backbone.bn1.running_mean, 0.1 * mean, rtol=1e-3, atol=1e-5)


def test_only_training_moves_teacher_and_queues():
    model, batch = tiny_model(), tiny_batch(counts=(3, 0, 5))
    with torch.no_grad():
        model.eval()(*batch, mode="loss")
        assert model.teacher.steps == model.queue.position == model.roi_queue.position == 0
        model.train()(*batch, mode="loss")
    assert (model.teacher.steps, model.queue.position, model.roi_queue.position) == (1, 3, 8)


def test_queued_are_the_chosen_positives(monkeypatch):
    seen = {}
    choose = CCOP.choose
    monkeypatch.setattr(CCOP, "choose", lambda *args: seen.setdefault("positives", choose(*args)))
    model, batch = tiny_model(), tiny_batch(counts=(2, 3))
    step(model, batch)
    torch.testing.assert_close(model.roi_queue.negatives()[:5], seen["positives"])
    torch.testing.assert_close(model.roi_queue.negatives().norm(dim=1), torch.ones(256))
    torch.testing.assert_close(model.queue.negatives().norm(dim=1), torch.ones(64))


def test_noise_moves_positives_alone(monkeypatch):
    """Within an image the regions' own key boxes are compared, and told apart by their overlap."""
    batch, losses, heads = tiny_batch(counts=(5, 4)), [], []
    forward = CCOPHead.forward
    monkeypatch.setattr(CCOPHead, "forward", lambda *args: heads.append(args) or forward(*args))
    for noise in (None, END._asdict()):
        model = tiny_model(noise=noise).eval()
        losses.append(model(*batch, mode="loss"))
    for name in ("loss_image", "loss_intra"):
        torch.testing.assert_close(losses[0][name], losses[1][name])
    assert losses[1]["loss_object"] > losses[0]["loss_object"] + 1e-3, "harder positives"
    key_boxes = np.concatenate([sample.views[1].boxes for sample in batch[1]])
    np.testing.assert_array_equal(heads[0][-1][:, 1:].numpy(), key_boxes)


class TestPositives:
    def candidates(self):
        """Two regions, three candidates each; the last of the first is too far."""
        vectors = torch.tensor([[[1.0, 0], [0.6, 0.8], [-1, 0]], [[0, 1], [0, -1], [1, 0]]])
        near = torch.tensor([[True, True, False], [True, True, True]])
        return torch.tensor([[1.0, 0], [0, 1]]), vectors, near

    def test_the_hardest_is_the_least_similar_that_is_near(self):
        assert tiny_model().choose(*self.candidates()).tolist() == [
            pytest.approx([0.6, 0.8]),
            [0, -1],
        ]

    def test_a_random_one_is_near_too(self):
        model, (query, vectors, near) = tiny_model(positive="random"), self.candidates()
        chosen = torch.stack([model.choose(query, vectors, near) for _ in range(60)])
        assert {tuple(v) for v in chosen[:, 0].tolist()} == {
            tuple(v) for v in vectors[0, :2].tolist()
        }
        assert len({tuple(v) for v in chosen[:, 1].tolist()}) == 3

    def test_each_candidate_is_embedded_in_its_place(self):
        """Only candidates that are near pass the RoI head; each gets its own vector."""
        model, (views, samples) = tiny_model(noise=END._asdict()).eval(), tiny_batch()
        rois = torch.cat(
            [
                torch.nn.functional.pad(torch.from_numpy(s.views[1].boxes), (1, 0), value=i)
                for i, s in enumerate(samples)
            ]
        )
        with torch.no_grad():
            torch.manual_seed(0)
            boxes, near = model._draw_candidates(rois[:, 1:], (64, 64))
            torch.manual_seed(0)
            _, found, found_near = model.key_candidates(views[1], rois)
            assert torch.equal(near, found_near) and 0 < (~near).sum() < near.numel()
            for j in range(boxes.shape[1]):
                column = torch.cat([rois[:, :1], boxes[:, j]], dim=1)
                _, expected = model.embed(model.teacher.module, views[1], column)
                torch.testing.assert_close(found[:, j], expected * near[:, j, None])
        torch.testing.assert_close(boxes[:, -1], rois[:, 1:])

    @pytest.mark.parametrize("options", [dict(noise=None), dict(num_jitters=0)])
    def test_without_noise_the_own_box_is_the_only_candidate(self, options):
        model, (views, _) = tiny_model(**options), tiny_batch()
        rois = torch.tensor([[0.0, 5, 5, 30, 30]])
        with torch.no_grad():
            _, candidates, near = model.key_candidates(views[1], rois)
        assert candidates.shape == (1, 1, 16) and near.all()
        step(model, tiny_batch())


@pytest.mark.parametrize("side", [None, (0.1, 0.15), (0.7, 0.9)])
def test_skipping_unused_levels_changes_neither_losses_nor_gradients(side):
    batch = tiny_batch(**(dict(side=side) if side else {}))
    results = []
    for skip in (True, False):
        model = tiny_model(skip_unused_levels=skip, noise=END._asdict())
        torch.manual_seed(1)
        results.append((step(model, batch), online_gradients(model)))
    torch.testing.assert_close(*results)
    assert all(grad is not None for grad in results[0][1].values()), "DDP waits for all of them"


def test_channels_last_is_the_same_maths():
    batch, results = tiny_batch(), []
    for channels_last in (True, False):
        model = tiny_model(channels_last=channels_last)
        if channels_last:
            model.to(memory_format=torch.channels_last)
        torch.manual_seed(1)
        results.append((step(model, batch), online_gradients(model)))
    torch.testing.assert_close(*results, rtol=1e-3, atol=1e-4)


def test_bfloat16_is_close_to_float32():
    batch = tiny_batch(counts=(4, 4, 4))
    check_bfloat16(tiny_model(noise=None), batch, abs=0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        finite_step(tiny_model(), batch)


def test_overfits_eight_images(monkeypatch):
    # negatives stay random: among so few images the queues would soon hold the positives
    monkeypatch.setattr(MemoryQueue, "enqueue", lambda queue, keys: None)
    model, batch = tiny_model(teacher__momentum=0.9), tiny_batch(counts=(3,) * 8, side=(0.3, 0.6))
    batch[0][1] = batch[0][0] + 0.1 * torch.randn(8, 3, 64, 64, generator=torch.manual_seed(0))
    for sample in batch[1]:
        sample.views[1].boxes = sample.views[0].boxes
    optimizer = torch.optim.AdamW(trainable(model), lr=3e-3)
    history = []
    for _ in range(18):
        history.append(step(model, batch))
        optimizer.step()
    for name in NAMES:
        assert history[-1][name] < 0.75 * history[0][name], (name, history[0], history[-1])


class TestDegenerateBatches:
    def check(self, batch, **options):
        model = tiny_model(**options)
        losses = finite_step(model, batch)
        assert all(buffer.isfinite().all() for buffer in model.buffers())
        return losses

    @pytest.mark.parametrize("skip_unused_levels", [True, False])
    def test_no_regions(self, skip_unused_levels):
        losses = self.check(tiny_batch((0, 0)), skip_unused_levels=skip_unused_levels)
        assert losses["loss_object"] == losses["loss_intra"] == 0 and losses["loss_image"] > 0

    def test_one_region_in_the_batch(self):
        losses = self.check(tiny_batch((0, 1)))
        assert losses["loss_intra"] == 0 and losses["loss_object"] > 0

    def test_one_image(self):
        self.check(tiny_batch((3,)))

    def test_all_boxes_alike(self):
        inputs, samples = tiny_batch((4, 4))
        for sample in samples:
            for view in sample.views:
                view.boxes = np.tile(np.float32([[0, 0, 64, 64]]), (4, 1))
        assert self.check((inputs, samples))["loss_intra"] == 0

    @pytest.mark.parametrize("box", [[5, 5, 5, 5], [64, 64, 64, 64], [0, 0, 64, 0]])
    def test_boxes_of_no_size(self, box):
        inputs, samples = tiny_batch((2, 2))
        for view in samples[0].views:
            view.boxes[:] = np.float32(box)
        self.check((inputs, samples), noise=END._asdict())

    def test_uniform_images(self):
        inputs, samples = tiny_batch()
        self.check(([torch.zeros_like(view) for view in inputs], samples))


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(positive="easiest"), "model.positive='easiest' must be one of"),
        (dict(num_jitters=-1), "model.num_jitters=-1 must be at least 0"),
        (dict(roi_projector__in_channels=7), r"roi_projector.in_channels=7 must be 8 .* x 7 x 7"),
        (dict(queue__length=0), "queue length=0"),
        (dict(neck__type="mmdet.FPN"), "skip_unused_levels=True needs .*RegionFPN"),
    ],
)
def test_bad_configs_fail_when_the_model_is_built(options, message):
    with pytest.raises(ValueError, match=message):
        tiny_model(**options)
