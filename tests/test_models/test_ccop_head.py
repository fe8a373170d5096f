"""CCOP's losses, box noise and projection head: functions of tensors."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmregioncon.models.heads import CCOPHead, disjoint_pairs, info_nce, intra_image_loss
from mmregioncon.models.modules import BoxNoise, MemoryQueue, ScaleAwareRoIExtractor
from mmregioncon.models.modules.box_noise import candidate_boxes, jittered_boxes
from mmregioncon.models.necks import DropoutMLP


def unit(*shape, seed=0):
    return F.normalize(torch.randn(*shape, generator=torch.manual_seed(seed)), dim=-1)


def random_rois(counts, seed=0, size=64):
    rng = np.random.default_rng(seed)
    image = np.repeat(np.arange(len(counts)), counts)[:, None]
    corner = rng.uniform(0, size / 2, (len(image), 2))
    boxes = np.concatenate([corner, corner + rng.uniform(4, size / 2, corner.shape)], axis=1)
    return torch.from_numpy(np.concatenate([image, boxes], axis=1)).float()


def overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return shared / (sum(areas) - shared)


def naive_intra_loss(query, key, rois, max_iou, margin, anchor):
    terms = []
    for i in range(len(rois)):
        for j in range(len(rois)):
            if i == j or rois[i][0] != rois[j][0] or overlap(rois[i][1:], rois[j][1:]) >= max_iou:
                continue
            own = query[j] @ key[j] if anchor == "key" else query[i] @ key[i]
            terms.append(max(0.0, query[i] @ key[j] - own + margin))
    return float(np.mean(terms)) if terms else 0.0


class TestIntraImageLoss:
    @pytest.mark.parametrize("counts", [(5,), (3, 0, 6), (1, 1), (2, 2)])
    @pytest.mark.parametrize("max_iou", [0.0, 0.05, 0.3, 1.1])
    @pytest.mark.parametrize("margin", [0.0, 0.4])
    @pytest.mark.parametrize("anchor", ["key", "query"])
    def test_equals_a_naive_loop(self, counts, max_iou, margin, anchor):
        rois = random_rois(counts)
        query, key = (unit(len(rois), 7, seed=seed) for seed in (1, 2))
        ours = intra_image_loss(query, key, disjoint_pairs(rois, max_iou), margin, anchor)
        arrays = (x.double().numpy() for x in (query, key, rois))
        assert float(ours) == pytest.approx(
            naive_intra_loss(*arrays, max_iou, margin, anchor), abs=1e-6
        )

    def test_same_as_the_release(self, golden):
        """Its three images are blocks of one matrix: the mean is over the pairs of all of them."""
        data = golden("ccop_losses")
        blocks = [torch.from_numpy(data[f"sim{i}"]) for i in range(3)]
        pairs = torch.block_diag(*(torch.from_numpy(data[f"valid{i}"]) for i in range(3))).bool()
        query = torch.block_diag(*blocks).requires_grad_()
        loss = intra_image_loss(query, torch.eye(len(query)), pairs, float(data["intra_margin"]))
        loss.backward()
        assert loss.item() == pytest.approx(float(data["intra_loss"]), rel=1e-5)
        expected = torch.block_diag(*(torch.from_numpy(data[f"grad_sim{i}"]) for i in range(3)))
        torch.testing.assert_close(query.grad, expected)

    def test_overlap_is_that_of_the_release(self, golden):
        data = golden("ccop_losses")
        rois = F.pad(torch.from_numpy(data["iou_boxes"]), (1, 0))
        for max_iou in (0.05, 0.1, 0.5):
            expected = data["iou"] < max_iou
            np.fill_diagonal(expected, False)
            np.testing.assert_array_equal(disjoint_pairs(rois, max_iou).numpy(), expected)

    @pytest.mark.parametrize("counts", [(), (1,), (1, 0, 1)])
    def test_without_a_pair_it_is_zero_with_a_graph(self, counts):
        rois = random_rois(counts) if counts else torch.zeros(0, 5)
        query = unit(len(rois), 4).requires_grad_()
        loss = intra_image_loss(query, unit(len(rois), 4, seed=1), disjoint_pairs(rois))
        loss.backward()
        assert loss.item() == 0 and torch.equal(query.grad, torch.zeros_like(query))

    def test_regions_of_other_images_and_overlapping_ones_are_no_pairs(self):
        box, inside, far = [0.0, 0, 10, 10], [1.0, 1, 9, 9], [20.0, 20, 30, 30]
        rois = torch.tensor([[0, *box], [0, *inside], [0, *far], [1, *far]])
        expected = torch.zeros(4, 4, dtype=torch.bool)
        expected[0, 2] = expected[2, 0] = expected[1, 2] = expected[2, 1] = True
        assert torch.equal(disjoint_pairs(rois), expected)

    def test_a_region_of_no_size_is_not_its_own_pair(self):
        rois = torch.zeros(2, 5)
        assert not disjoint_pairs(rois).diagonal().any()

    @pytest.mark.parametrize("anchor, loss", [("key", 0.9), ("query", 1.9)])
    def test_the_anchor(self, anchor, loss):
        """q_0.k_1 = 1; k_1's own query is at cosine .5, q_0's own key at -.5."""
        angle = math.radians(60)
        query = torch.tensor([[1.0, 0], [math.cos(angle), math.sin(angle)]])
        key = torch.tensor([[-math.cos(angle), math.sin(angle)], [1.0, 0]])
        pairs = torch.tensor([[False, True], [False, False]])
        ours = intra_image_loss(query, key, pairs, margin=0.4, anchor=anchor)
        assert ours.item() == pytest.approx(loss, abs=1e-5)


class TestHead:
    def inputs(self, counts=(4, 3)):
        rois = random_rois(counts)
        images = unit(2, 8).requires_grad_(), unit(2, 8, seed=1).requires_grad_(), unit(9, 8)
        objects = [unit(len(rois), 8, seed=seed).requires_grad_() for seed in (2, 3)]
        keys = unit(len(rois), 8, seed=4).requires_grad_()
        return images, (*objects, unit(11, 8)), keys, rois

    def test_three_losses_with_their_weights(self):
        plain = CCOPHead()(*self.inputs())
        assert list(plain) == ["loss_image", "loss_object", "loss_intra"]
        weighted = CCOPHead(weights=(2, 0, 0.5))(*self.inputs())
        for weight, name in zip((2, 0, 0.5), plain):
            torch.testing.assert_close(weighted[name], weight * plain[name])

    def test_switches_reach_the_losses(self):
        images, objects, keys, rois = self.inputs()
        head = CCOPHead(temperature=0.5, margin=0.1, disjoint_iou=0.6, anchor="query")
        losses = head(images, objects, keys, rois)
        torch.testing.assert_close(losses["loss_image"], info_nce(*images, 0.5))
        torch.testing.assert_close(losses["loss_object"], info_nce(*objects, 0.5))
        intra = intra_image_loss(objects[0], keys, disjoint_pairs(rois, 0.6), 0.1, "query")
        torch.testing.assert_close(losses["loss_intra"], intra)

    def test_no_gradient_flows_into_the_keys(self):
        images, objects, keys, rois = self.inputs()
        sum(CCOPHead()(images, objects, keys, rois).values()).backward()
        assert images[1].grad is objects[1].grad is keys.grad is None
        assert images[0].grad.any() and objects[0].grad.any()

    def test_info_nce_is_the_releases(self, golden):
        data = {name: torch.from_numpy(value) for name, value in golden("ccop_losses").items()}
        query = torch.cat([data["head_pos"], data["head_neg"]], dim=1).requires_grad_()
        basis = torch.eye(query.shape[1])
        key, negatives = basis[:1].expand(len(query), -1), basis[1:]
        loss = info_nce(query, key, negatives, float(data["head_temperature"]))
        loss.backward()
        torch.testing.assert_close(loss.detach(), data["head_loss"])
        torch.testing.assert_close(query.grad[:, :1], data["head_grad_pos"])

    @pytest.mark.parametrize(
        "options, message",
        [
            (dict(weights=(1, 1)), r"model.head.weights=\(1, 1\) needs three numbers"),
            (dict(anchor="both"), "model.head.anchor='both' must be one of"),
        ],
    )
    def test_bad_options_are_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            CCOPHead(**options)


class TestBoxNoise:
    @pytest.mark.parametrize("case", ["c0", "c1", "c2"])
    def test_same_as_the_release(self, golden, case):
        data = {k[3:]: v for k, v in golden("ccop_aug_boxes").items() if k.startswith(case)}
        boxes = torch.from_numpy(data["boxes"])
        draws = torch.from_numpy(np.concatenate([data["rand_xy"], data["rand_wh"]], axis=-1))
        noise = BoxNoise(*(float(data[name]) for name in ("mag_xy", "mag_wh", "iou_thr")))
        size = golden("ccop_aug_boxes")["img_shape"].tolist()
        found, near = candidate_boxes(boxes, draws, noise, size)
        if not data["append_ori"].item():
            found, near = found[:, :-1], near[:, :-1]
        np.testing.assert_allclose(found.numpy(), data["jit_boxes"], atol=1e-4)
        clear = np.abs(data["jitter_iou"] - data["iou_thr"]) > 1e-5
        np.testing.assert_array_equal(near.numpy()[clear], ~data["invalid"][clear])

    def test_without_noise_nothing_moves(self):
        boxes = random_rois((5,))[:, 1:]
        found, near = candidate_boxes(boxes, torch.rand(5, 3, 4), BoxNoise(0, 0, 0.99), (64, 64))
        torch.testing.assert_close(found, boxes[:, None].expand(-1, 4, -1))
        assert near.all()

    def test_the_box_itself_is_always_a_candidate(self):
        boxes = torch.tensor([[3.0, 3, 3, 3], [0, 0, 64, 64]])
        found, near = candidate_boxes(boxes, torch.rand(2, 4, 4), BoxNoise(9, 3, 0.9), (64, 64))
        assert near[:, -1].all() and torch.equal(found[:, -1], boxes)

    @pytest.mark.parametrize("count, jitters", [(0, 10), (3, 0), (0, 0)])
    def test_no_boxes_or_no_jitter(self, count, jitters):
        found, near = candidate_boxes(
            torch.zeros(count, 4), torch.rand(count, jitters, 4), BoxNoise(1, 1, 0.5), (64, 64)
        )
        assert found.shape == (count, jitters + 1, 4) and near.shape == (count, jitters + 1)

    def test_axes_and_view_are_not_mixed_up(self):
        draws = torch.tensor([[[0.75, 0.5, 0.5, 0.5], [0.5, 0.75, 0.5, 0.5], [0.5, 0.5, 1.0, 0.0]]])
        noise = BoxNoise(offset=2.0, scale=2 * math.log(2), min_iou=0)
        found = jittered_boxes(torch.tensor([[10.0, 20, 30, 24]]), draws, noise, (35, 25))
        expected = [[20.0, 20, 35, 24], [10, 22, 30, 25], [0, 21, 35, 23]]
        torch.testing.assert_close(found[0], torch.tensor(expected))


class TestProjectionHead:
    @pytest.fixture
    def mlp(self, golden):
        data = golden("ccop_neck")
        mlp = DropoutMLP(24, 16, 8, dropout=float(data["dropout_p"]))
        names = dict(hidden="linear_1.0", out="last_linear")
        for ours, theirs in names.items():
            for field in ("weight", "bias"):
                value = torch.from_numpy(data[f"sd/mlp.{theirs}.{field}"])
                getattr(getattr(mlp, ours), field).data = value
        return mlp

    def test_same_as_the_release(self, golden, mlp):
        out = mlp.eval()(torch.from_numpy(golden("ccop_neck")["x"]))
        np.testing.assert_allclose(out.detach().numpy(), golden("ccop_neck")["out_eval"], atol=1e-5)

    def test_dropout_is_where_the_release_has_it(self, golden, mlp):
        data = golden("ccop_neck")
        mask = torch.from_numpy(data["dropout_mask_train"]) / (1 - float(data["dropout_p"]))
        mlp.train().dropout.register_forward_hook(lambda module, args, out: args[0] * mask)
        out = mlp(torch.from_numpy(data["x"]))
        np.testing.assert_allclose(out.detach().numpy(), data["out_train"], atol=1e-5)


def test_pooling_is_the_releases(golden):
    """Levels and features; the release sends boxes above 224 to P2 (a fault), ours to P5."""
    data = golden("ccop_pooler")
    layer = dict(type="RoIAlign", output_size=7, sampling_ratio=0)
    extractor = ScaleAwareRoIExtractor(layer, out_channels=6, featmap_strides=[4, 8, 16, 32])
    boxes = [torch.from_numpy(data[f"boxes_img{i}"]) for i in (0, 1)]
    rois = torch.cat([F.pad(box, (1, 0), value=i) for i, box in enumerate(boxes)])
    levels = extractor.map_roi_levels(rois, 4)
    found = extractor([torch.from_numpy(data[f"feat_p{level}"]) for level in (2, 3, 4, 5)], rois)
    assert torch.equal(levels, torch.from_numpy(data["level_0is_p2"]))
    np.testing.assert_allclose(found.flatten(1), data["pooled_flat"], atol=1e-4)
    large = F.pad(torch.from_numpy(data["boxes_over_224"]), (1, 0))
    assert extractor.map_roi_levels(large, 4).tolist() == [3] * len(large)


def test_queue_is_the_releases_but_for_the_tail_at_the_wrap(golden):
    data = {
        name: torch.from_numpy(value) for name, value in golden("ccop_queue_curriculum").items()
    }
    queue = MemoryQueue(length=20, dim=4)
    queue.keys.copy_(data["roi_queue0"].T)
    for step in range(2):  # seven keys, then nine
        queue.enqueue(data[f"roi{step}_keys"])
        torch.testing.assert_close(queue.negatives(), data[f"roi{step}_queue"].T)
        assert queue.position == data[f"roi{step}_ptr"]
    queue.enqueue(data["roi2_keys"])  # six more: the release drops the last two
    torch.testing.assert_close(queue.negatives()[16:], data["roi2_keys"][:4])
    torch.testing.assert_close(queue.negatives()[:2], data["roi2_keys"][4:])
    assert queue.position == 2
