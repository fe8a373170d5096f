"""SoCo as a whole, on a ResNet-18 of few channels."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from tiny_models import (
    check_bfloat16,
    check_gradients,
    finite_step,
    online_gradients,
    randomise_norms,
    step,
    total,
    trainable,
)
from tiny_soco import tiny_batch, tiny_c4_model, tiny_model

from mmregioncon.models.algorithms.soco import slots_of_pair

# A bias before BatchNorm has no effect.
ZERO = ("projector.fc0.bias", "predictor.fc0.bias")


@pytest.mark.parametrize(
    "sizes, names",
    [
        ((64, 64), ["loss_pair01"]),
        ((64, 64, 48), ["loss_pair01", "loss_pair02"]),
        ((64, 64, 48, 48), ["loss_pair01", "loss_pair02", "loss_pair03"]),
    ],
)
def test_a_loss_for_each_pair(sizes, names):
    losses = step(tiny_model(), tiny_batch(sizes=sizes))
    assert list(losses) == names
    assert all(loss.ndim == 0 and -4 <= loss <= 4 for loss in losses.values())


def test_gradient_reaches_all_that_is_online_and_nothing_else():
    model = tiny_model()
    step(model, tiny_batch(batch_size=8))
    check_gradients(model, ["backbone", "neck", "roi_head", "projector", "predictor"], ZERO)


def test_c4_trains_backbone_and_shared_head():
    model = tiny_c4_model()
    losses = step(model, tiny_batch(batch_size=2, sizes=(64, 64)))
    assert list(losses) == ["loss_pair01"] and -4 <= losses["loss_pair01"] <= 4
    check_gradients(model, ["backbone", "roi_head", "projector", "predictor"], ZERO)
    names = [name for name in online_gradients(model) if "roi_head" in name]
    assert {".".join(name.split(".")[:2]) for name in names} == {"roi_head.shared_head"}
    assert not hasattr(model, "neck")
    assert list(model.teacher.module) == ["backbone", "roi_head", "projector"]


def test_teacher_has_all_modules_but_the_predictor():
    model = tiny_model()
    assert list(model.teacher.module) == ["backbone", "neck", "roi_head", "projector"]
    for name, module in model.teacher.module.items():
        assert module.state_dict().keys() == getattr(model, name).state_dict().keys()


def test_only_training_moves_the_teacher():
    model, batch = tiny_model(), tiny_batch()
    with torch.no_grad():
        model.eval()(*batch, mode="loss")
        assert model.teacher.steps == 0
        model.train()(*batch, mode="loss")
    assert model.teacher.steps == 1
    online = model.online_modules().parameters()
    for mine, theirs in zip(model.teacher.module.parameters(), online):
        assert torch.equal(mine, theirs)


def test_views_pass_batch_norm_one_by_one():
    model = tiny_model()
    step(model, tiny_batch(sizes=(64, 64, 48)))
    for backbone in (model.backbone, model.teacher.module["backbone"]):
        assert backbone.bn1.num_batches_tracked == 3


@pytest.mark.parametrize("side", [None, (0.1, 0.2), (0.7, 0.9)])
def test_skipping_unused_levels_changes_neither_losses_nor_gradients(side):
    batch = tiny_batch(side=side)
    results = []
    for skip in (True, False):
        model = tiny_model(skip_unused_levels=skip)
        results.append((step(model, batch), online_gradients(model)))
    torch.testing.assert_close(*results)
    assert all(grad is not None for grad in results[0][1].values()), "DDP waits for all of them"


def test_embedding_on_all_levels_is_the_same_in_eval_mode():
    batch, results = tiny_batch(), []
    for every in (True, False):
        model = tiny_model(roi_head__embed_all_levels=every, skip_unused_levels=False)
        step(model, batch)  # statistics that are not the initial ones
        model.load_state_dict(results[0][0] if results else model.state_dict())
        state = {key: value.clone() for key, value in model.state_dict().items()}
        losses = step(model.eval(), batch)
        results.append((state, losses, online_gradients(model)))
    torch.testing.assert_close(results[0][1:], results[1][1:])


def test_embedding_on_all_levels_gives_batch_norm_all_of_them():
    """What the release's statistics see: four times as many regions, so another output."""
    batch, losses = tiny_batch(), []
    for every in (True, False):
        model = tiny_model(roi_head__embed_all_levels=every, skip_unused_levels=False)
        losses.append(total(step(model, batch)))
    assert abs(losses[0] - losses[1]) > 1e-4


@pytest.mark.parametrize(
    "options", [dict(roi_head__embed_all_levels=True), dict(neck__type="mmdet.FPN")]
)
def test_levels_are_skipped_only_where_they_can_be(options):
    message = "skip_unused_levels=True needs .*neck.type='RegionFPN'.*embed_all_levels=False"
    with pytest.raises(ValueError, match=message):
        tiny_model(skip_unused_levels=True, **options)


def test_channels_last_is_the_same_maths():
    batch, results = tiny_batch(), []
    for channels_last in (True, False):
        model = tiny_model(channels_last=channels_last, initialise=False)
        torch.manual_seed(0)
        model.init_weights()
        randomise_norms(model)
        conv = model.backbone.layer1[0].conv1.weight
        assert conv.is_contiguous(memory_format=torch.channels_last) == channels_last
        views = model.data_preprocessor(
            dict(inputs=[view.mul(50).byte() for view in batch[0]], data_samples=batch[1])
        )["inputs"]
        layout = torch.channels_last if channels_last else torch.contiguous_format
        assert all(view.is_contiguous(memory_format=layout) for view in views)
        results.append((step(model, (views, batch[1])), online_gradients(model)))
    torch.testing.assert_close(*results, rtol=1e-3, atol=2e-5)


def test_bfloat16_is_close_to_float32():
    check_bfloat16(tiny_model(), tiny_batch(batch_size=8), abs=0.05)


def test_overfits_eight_images():
    """The loss of two pairs starts near 0 and can fall to -8."""
    model, batch = tiny_model(max_iters=10**6), tiny_batch(batch_size=8, sizes=(64, 64))
    # the second view shows nearly what the first does: only then there is something to learn
    batch[0][1] = batch[0][0] + 0.1 * torch.randn(8, 3, 64, 64, generator=torch.manual_seed(0))
    for sample in batch[1]:
        sample.views[1].boxes = sample.views[0].boxes
    optimizer = torch.optim.AdamW(trainable(model), lr=3e-3, weight_decay=0.01)
    losses = []
    for _ in range(25):
        losses.append(float(total(step(model, batch))))
        optimizer.step()
    assert losses[0] > -1 and losses[-1] < -3.2, losses


class TestDegenerateBatches:
    def check(self, batch, expected=None):
        losses = finite_step(tiny_model(), batch)
        if expected is not None:
            assert all(float(loss) == expected for loss in losses.values())

    def test_all_slots_empty(self):
        inputs, samples = tiny_batch()
        for sample in samples:
            for view in sample.views:
                view.ids = np.full_like(view.ids, -1)
        self.check((inputs, samples), expected=0.0)

    def test_one_image(self):
        self.check(tiny_batch(batch_size=1))

    def test_one_region(self):
        self.check(tiny_batch(num_regions=1))

    def test_one_image_with_one_region_names_batch_norm(self):
        batch = tiny_batch(batch_size=1, num_regions=1, sizes=(64, 64))
        with pytest.raises(ValueError, match="more than 1 value per channel when training"):
            step(tiny_model(), batch)

    def test_all_boxes_alike(self):
        inputs, samples = tiny_batch()
        for sample in samples:
            for view, size in zip(sample.views, (64, 64, 48)):
                view.boxes = np.tile(np.float32([[0, 0, size, size]]), (len(view.boxes), 1))
        self.check((inputs, samples))

    @pytest.mark.parametrize("box", [[5, 5, 5, 5], [64, 64, 64, 64], [0, 0, 64, 0], [-9, -9, 0, 0]])
    def test_boxes_of_no_size(self, box):
        inputs, samples = tiny_batch()
        samples[0].views[0].boxes[:] = np.float32(box)
        self.check((inputs, samples))

    def test_uniform_images(self):
        inputs, samples = tiny_batch()
        self.check(([torch.zeros_like(view) for view in inputs], samples))


def test_slots_of_a_pair_follow_the_datas_order():
    pairs = [(0, 1), (0, 2)]
    values = torch.arange(2 * 2 * 3)  # B = 2 images, P = 2 pairs, K = 3 regions
    assert slots_of_pair(values, pairs, 0, 0, 2).tolist() == [[0, 1, 2], [6, 7, 8]]
    assert slots_of_pair(values, pairs, 1, 0, 2).tolist() == [[3, 4, 5], [9, 10, 11]]
    single = torch.arange(2 * 3)  # view 2 belongs to the second pair alone
    assert slots_of_pair(single, pairs, 1, 2, 2).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_permutation_of_the_regions_changes_nothing():
    """Ids tie the regions, not slots; in eval mode the vectors do not depend on the order."""
    inputs, samples = tiny_batch(sizes=(64, 64))
    model = tiny_model().eval()
    before = total(step(model, (inputs, samples)))
    for sample in samples:
        view = sample.views[1]
        sample.views[1].set_data(dict(boxes=view.boxes[::-1].copy(), ids=view.ids[::-1].copy()))
    torch.testing.assert_close(total(step(model, (inputs, samples))), before)
    samples[0].views = [
        samples[0].views[0],
        InstanceData(boxes=samples[0].views[1].boxes, ids=samples[0].views[1].ids[::-1].copy()),
    ]
    assert abs(total(step(model, (inputs, samples))) - before) > 1e-5


def test_forward_modes():
    model, (inputs, samples) = tiny_model(), tiny_batch()
    feats = model(inputs)
    assert [len(levels) for levels in feats] == [4, 4, 4]
    assert feats[0][0].shape == (4, 16, 16, 16)
    with pytest.raises(ValueError, match="mode='predict'.*'loss' and 'tensor'"):
        model(inputs, samples, mode="predict")
