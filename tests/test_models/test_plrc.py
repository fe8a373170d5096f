"""PLRC as a whole, on a ResNet-18 of few channels."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_models import (
    check_bfloat16,
    check_gradients,
    finite_step,
    online_gradients,
    step,
    trainable,
)
from tiny_plrc import PROTOTYPES, tiny_plrc, tiny_points

from mmregioncon.models.heads import point_affinity_distillation, point_region_contrast
from mmregioncon.models.modules import sample_points

RELEASE = {"prototype_head": PROTOTYPES, "head.negatives": "batch", "head.base_temperature": 0.07}


@pytest.mark.parametrize(
    "options, modules",
    [
        ({}, ["backbone", "projector"]),
        (RELEASE, ["backbone", "projector", "prototype_head"]),
        ({"head.level": "point", "head.centre_channels": 16}, ["backbone", "projector"]),
        ({"head.affinity_weight": 0}, ["backbone", "projector"]),
    ],
)
def test_gradient_reaches_all_that_is_online_and_nothing_else(options, modules):
    model = tiny_plrc(**options)
    step(model, tiny_points(matched=True))
    before_norm = ["prototype_head.mlp.0.bias", "prototype_head.mlp.3.bias"]
    check_gradients(model, modules, zero=before_norm)
    assert list(model.teacher.module) == modules, "neither queue nor head has a momentum copy"


@pytest.mark.parametrize("affinity_weight, passes", [(0.3, 2), (0.0, 1)])
def test_views_pass_each_network_one_by_one(affinity_weight, passes):
    model, batch = tiny_plrc(head__affinity_weight=affinity_weight), tiny_points()
    step(model, batch)
    assert model.backbone.bn1.num_batches_tracked == 1
    assert model.teacher.module["backbone"].bn1.num_batches_tracked == passes
    online, teacher = model.backbone_inputs(batch[0])
    assert len(online) == 1 and len(teacher) == passes
    assert online[0] is batch[0][0] and teacher[0] is batch[0][1]


def test_image_loss_and_queue_are_mocos():
    """Recomputed from the parts: mean over the map, then normalised, then the queue as it was."""
    model, (inputs, samples) = tiny_plrc(), tiny_points()
    model.eval()
    queue = model.queue.negatives().clone()
    loss = model(inputs, samples, mode="loss")["loss_image"]
    assert torch.equal(model.queue.negatives(), queue) and model.teacher.steps == 0
    query, key = (
        F.normalize(modules["projector"](modules["backbone"](view)[-1]).mean((2, 3)), dim=1)
        for modules, view in zip((model.online_modules(), model.teacher.module), inputs)
    )
    logits = torch.cat([(query * key).sum(1, keepdim=True), query @ queue.T], 1) / 0.2
    torch.testing.assert_close(loss, -0.7 * logits.log_softmax(1)[:, 0].mean())
    seen = []
    model.head.register_forward_pre_hook(lambda head, args: seen.append(args[0][2]))
    model.train()
    step(model, (inputs, samples))
    assert torch.equal(seen[0], queue), "this step's keys are no negatives of their own queries"
    assert model.queue.position == 4 and torch.equal(model.queue.negatives()[4:], queue[4:])
    assert not torch.isclose(model.queue.negatives()[:4], queue[:4]).all(1).any()
    assert model.teacher.steps == 1


@pytest.mark.parametrize("prototypes", [None, PROTOTYPES])
def test_point_losses_are_those_of_the_parts(prototypes):
    """Which network and view each vector comes from, in views of unequal sides."""
    model, (inputs, samples) = tiny_plrc(prototype_head=prototypes), tiny_points()
    inputs = [inputs[0][:, :, :32].contiguous(), inputs[1][..., :32].contiguous()]
    with torch.no_grad():  # a teacher of its own
        for parameter in model.teacher.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    losses = model.eval()(inputs, samples, mode="loss")

    def point_vectors(modules, index):
        feat = modules["backbone"](inputs[index])[-1]
        points = torch.from_numpy(np.stack([sample.views[index].points for sample in samples]))
        size = inputs[index].shape[3], inputs[index].shape[2]
        heads = ["projector"] if prototypes is None else ["projector", "prototype_head"]
        parts = [F.normalize(sample_points(modules[h](feat), points, size), dim=-1) for h in heads]
        return parts[0], F.normalize(torch.cat(parts, -1), dim=-1)

    (query, student), (_, target), (key, whole_key) = (
        point_vectors(*of)
        for of in (
            (model.online_modules(), 0),
            (model.teacher.module, 0),
            (model.teacher.module, 1),
        )
    )
    ids = torch.arange(3).expand(4, 3)
    contrast = point_region_contrast(query, key, ids, ids)
    affinity = point_affinity_distillation(student, target, whole_key, [ids, ids], 0.1, 0.04)
    torch.testing.assert_close(losses["loss_contrast"], 0.3 * contrast)
    torch.testing.assert_close(losses["loss_affinity"], 0.3 * affinity)


@pytest.mark.parametrize("size", [(4, 4), (6, 4)])
def test_points_are_sampled_where_they_lie(size):
    """A map whose values are the positions of its cells' centres gives a point its position."""
    width, height = size
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    feat = torch.from_numpy(np.stack([x, y])[None].astype(np.float32)) * 16
    view = (width * 16, height * 16)
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(1, 3, 7, 2, generator=generator) * torch.tensor(view)
    points[0, 0, :2] = torch.tensor([[0.0, 0.0], view])
    last = torch.tensor(view) - 8.0
    expected = points.clamp(torch.tensor(8.0), last)  # beyond the outer centres it goes on
    torch.testing.assert_close(sample_points(feat, points, view), expected)


def test_an_image_takes_part_only_with_its_own_points():
    model, (inputs, samples) = tiny_plrc().eval(), tiny_points()
    before = model(inputs, samples, mode="loss")
    for view in samples[0].views:
        view.ids = np.full_like(view.ids, -1)
    after = model(inputs, samples, mode="loss")
    assert after["loss_image"] == before["loss_image"]
    rest = model([view[1:] for view in inputs], samples[1:], mode="loss")
    for name in ("loss_contrast", "loss_affinity"):
        torch.testing.assert_close(after[name], rest[name])


@pytest.mark.parametrize("negatives", ["image", "batch"])
def test_order_of_the_regions_changes_nothing(negatives):
    """Ids tie the regions, not slots."""
    model, (inputs, samples) = tiny_plrc(head__negatives=negatives).eval(), tiny_points(slots=5)
    before = model(inputs, samples, mode="loss")
    for sample in samples:
        view = sample.views[1]
        view.set_data({name: view.get(name)[::-1].copy() for name in ("ids", "points")})
    torch.testing.assert_close(model(inputs, samples, mode="loss"), before)


def test_channels_last_is_the_same_maths():
    batch, results = tiny_points(), []
    for channels_last in (True, False):
        model = tiny_plrc(channels_last=channels_last)
        if channels_last:
            model.to(memory_format=torch.channels_last)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        views = [view.contiguous(memory_format=layout) for view in batch[0]]
        results.append((step(model, (views, batch[1])), online_gradients(model)))
    torch.testing.assert_close(*results, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("options", [{}, RELEASE])
def test_bfloat16_is_close_to_float32(options):
    check_bfloat16(tiny_plrc(**options), tiny_points(batch_size=8), rel=0.03)


def test_overfits_eight_images():
    """The second view is nearly the first and shows the same points; all three terms fall."""
    model, batch = tiny_plrc(teacher__momentum=0.9), tiny_points(batch_size=8)
    batch[0][1] = batch[0][0] + 0.1 * torch.randn(8, 3, 64, 64, generator=torch.manual_seed(0))
    for sample in batch[1]:  # each region its own quarter of the view
        quarters = np.float32([[0, 0], [32, 0], [0, 32]])[:, None]
        for view in sample.views:
            view.points = quarters + view.points / 2
    optimizer = torch.optim.AdamW(trainable(model), lr=3e-3, weight_decay=0.01)
    losses = []
    for _ in range(30):
        # keys of the same eight images in the queue would be negatives: keep it as it was
        keys = model.queue.negatives()
        keys.copy_(F.normalize(torch.ones_like(keys), dim=1))
        losses.append(step(model, batch))
        optimizer.step()
    first, last = losses[0], losses[-1]
    assert last["loss_image"] < 0.5 * first["loss_image"], losses
    assert last["loss_contrast"] < 0.8 * first["loss_contrast"], losses
    assert last["loss_affinity"] < 0.6 * first["loss_affinity"], losses


class TestDegenerateBatches:
    def check(self, batch):
        for options in ({}, RELEASE):
            losses = finite_step(tiny_plrc(**options), batch)
        return losses

    def test_no_regions(self):
        inputs, samples = tiny_points()
        for sample in samples:
            for view in sample.views:
                view.ids = np.full_like(view.ids, -1)
        losses = self.check((inputs, samples))
        assert losses["loss_contrast"] == losses["loss_affinity"] == 0 < losses["loss_image"]

    def test_one_image(self):
        self.check(tiny_points(batch_size=1))

    def test_one_region_of_one_point(self):
        self.check(tiny_points(regions=1, points=1))

    def test_all_points_alike_and_at_the_corner(self):
        inputs, samples = tiny_points()
        for sample in samples:
            for view in sample.views:
                view.points = np.full_like(view.points, 64)
        self.check((inputs, samples))

    def test_uniform_images(self):
        inputs, samples = tiny_points()
        self.check(([torch.zeros_like(view) for view in inputs], samples))

    def test_a_batch_that_the_queue_cannot_hold(self):
        with pytest.raises(ValueError, match="model.queue.length"):
            step(tiny_plrc(queue__length=2), tiny_points())


def test_matched_points_are_needed_for_level_point():
    with pytest.raises(ValueError, match="head.level='point'.*SampleRegionPoints.matched=True"):
        step(tiny_plrc(head__level="point"), tiny_points())


@pytest.mark.parametrize(
    "options, message",
    [
        ({"head.centre_channels": 128}, "centre_channels=128 must be 16"),
        ({**RELEASE, "head.centre_channels": 16}, "centre_channels=16 must be 40"),
        ({**RELEASE, "head.affinity_weight": 0}, "prototype_head has no use"),
        ({"prototype_head": dict(PROTOTYPES, bottleneck_norm=3)}, "bottleneck_norm=3"),
        ({"queue.length": 0}, "length=0"),
    ],
)
def test_bad_options_are_refused_when_built(options, message):
    with pytest.raises(ValueError, match=message):
        tiny_plrc(**options)
