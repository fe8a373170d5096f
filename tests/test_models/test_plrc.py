"""PLRC as a whole, on a ResNet-18 of few channels."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS as MMDET_MODELS
from mmengine.registry import DefaultScope
from tiny_plrc import PROTOTYPES, tiny_plrc, tiny_points
from tiny_soco import online_gradients, total

from mmregioncon.models.heads import point_affinity_distillation, point_region_contrast
from mmregioncon.models.modules import sample_points


def step(model, batch):
    """Losses of a batch, after their backward pass."""
    model.zero_grad()
    losses = model(*batch, mode="loss")
    total(losses).backward()
    return {name: loss.detach() for name, loss in losses.items()}


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
    model = tiny_plrc(options=options)
    step(model, tiny_points(matched=True))
    gradients = online_gradients(model)
    assert sorted({name.split(".")[0] for name in gradients}) == modules
    assert list(model.teacher.module) == modules, "neither queue nor head has a momentum copy"
    untouched = [name for name, grad in gradients.items() if grad is None or not grad.any()]
    # A bias before BatchNorm has no effect, so its gradient is rounding noise or zero.
    assert set(untouched) <= {"prototype_head.mlp.0.bias", "prototype_head.mlp.3.bias"}
    assert all(parameter.grad is None for parameter in model.teacher.parameters())
    assert not any(parameter.requires_grad for parameter in model.teacher.parameters())


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
    queue = model.queue.keys.clone()
    loss = model(inputs, samples, mode="loss")["loss_image"]
    assert torch.equal(model.queue.keys, queue) and model.teacher.steps == 0
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
    assert model.queue.position == 4 and torch.equal(model.queue.keys[4:], queue[4:])
    assert not torch.isclose(model.queue.keys[:4], queue[:4]).all(1).any()
    assert model.teacher.steps == 1


@pytest.mark.parametrize("prototypes", [None, PROTOTYPES])
def test_point_losses_are_those_of_the_parts(prototypes):
    """Which network and view each vector comes from, in views of unequal sides."""
    model, (inputs, samples) = tiny_plrc(options={"prototype_head": prototypes}), tiny_points()
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
    model, batch = tiny_plrc(options=options), tiny_points(batch_size=8)
    model.eval()
    with torch.no_grad():
        exact = model(*batch, mode="loss")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = model(*batch, mode="loss")
    for name, loss in exact.items():
        assert half[name].dtype == torch.float32
        assert half[name] == pytest.approx(float(loss), rel=0.03)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        step(model.train(), batch)
    assert all(grad.isfinite().all() for grad in online_gradients(model).values())


def test_overfits_eight_images():
    """The second view is nearly the first and shows the same points; all three terms fall."""
    model, batch = tiny_plrc(teacher__momentum=0.9), tiny_points(batch_size=8)
    batch[0][1] = batch[0][0] + 0.1 * torch.randn(8, 3, 64, 64, generator=torch.manual_seed(0))
    for sample in batch[1]:  # each region its own quarter of the view
        quarters = np.float32([[0, 0], [32, 0], [0, 32]])[:, None]
        for view in sample.views:
            view.points = quarters + view.points / 2
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=3e-3, weight_decay=0.01
    )
    losses = []
    for _ in range(30):
        # keys of the same eight images in the queue would be negatives: keep it as it was
        model.queue.keys.copy_(F.normalize(torch.ones_like(model.queue.keys), dim=1))
        losses.append(step(model, batch))
        optimizer.step()
    first, last = losses[0], losses[-1]
    assert last["loss_image"] < 0.5 * first["loss_image"], losses
    assert last["loss_contrast"] < 0.8 * first["loss_contrast"], losses


class TestDegenerateBatches:
    def check(self, batch):
        for options in ({}, RELEASE):
            model = tiny_plrc(options=options)
            losses = step(model, batch)
            assert all(loss.isfinite() for loss in losses.values())
            gradients = online_gradients(model)
            assert all(grad is not None for grad in gradients.values()), "DDP waits for all"
            assert all(grad.isfinite().all() for grad in gradients.values())
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
        tiny_plrc(options=options)


BACKBONES = {
    "r18": (dict(type="mmdet.ResNet", depth=18, base_channels=8, out_indices=(3,)), 64),
    "r50": (dict(type="mmdet.ResNet", depth=50, base_channels=8, out_indices=(3,)), 256),
    "swin": (
        dict(
            type="mmdet.SwinTransformer",
            embed_dims=16,
            depths=(1, 1, 1, 1),
            num_heads=(1, 2, 2, 4),
            window_size=2,
            out_indices=(3,),
        ),
        128,
    ),
    "convnext": (
        dict(
            type="mmpretrain.ConvNeXt",
            arch=dict(depths=[1, 1, 1, 1], channels=[8, 16, 24, 32]),
            out_indices=(3,),
            gap_before_final_norm=False,
        ),
        32,
    ),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_any_backbone_trains_and_loads_into_a_detector(name):
    backbone, channels = BACKBONES[name]
    backbone = dict(backbone, **(dict(norm_eval=False) if "ResNet" in backbone["type"] else {}))
    model = tiny_plrc(
        options={
            "backbone": dict(backbone, _delete_=True),
            "projector.in_channels": channels,
        }
    )
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01)
    batch = tiny_points(batch_size=2)
    for _ in range(2):
        losses = step(model, batch)
        optimizer.step()
    assert all(loss.isfinite() for loss in losses.values())
    with DefaultScope.overwrite_default_scope("mmdet"):
        detector = MMDET_MODELS.build(
            dict(
                type="RetinaNet",
                backbone=dict(backbone, out_indices=(0, 1, 2, 3)),
                neck=dict(type="FPN", in_channels=[channels] * 4, out_channels=8, num_outs=5),
                bbox_head=dict(type="RetinaHead", num_classes=2, in_channels=8),
            )
        )
    result = detector.load_state_dict(model.state_dict(), strict=False)
    assert not [key for key in result.unexpected_keys if key.startswith("backbone.")]
    missing = {key for key in result.missing_keys if key.startswith("backbone.")}
    # Swin and ConvNeXt have a norm for each stage that is given out; PLRC needs but the last
    assert {key.split(".")[1] for key in missing} <= {"norm0", "norm1", "norm2"}
    assert not missing or "ResNet" not in backbone["type"]
