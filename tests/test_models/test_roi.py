"""From pyramid to vectors: FPN, RoI extraction, box head trunk, projector."""

import numpy as np
import pytest
import torch
from mmcv.ops import RoIAlign
from mmdet.models import FPN, Shared4Conv1FCBBoxHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmengine.registry import DefaultScope
from mmpretrain.models.necks import NonLinearNeck

from mmregioncon.models.modules import (
    BBoxHeadTrunk,
    RegionFPN,
    RegionRoIHead,
    ScaleAwareRoIExtractor,
)
from mmregioncon.registry import MODELS
from mmregioncon.utils import register_all_modules

BN = dict(type="BN", requires_grad=True)


def extractor(strides=(4, 8, 16, 32), channels=3, **kwargs):
    register_all_modules(init_default_scope=False)
    layer = dict(type="RoIAlign", output_size=7, sampling_ratio=0)
    return ScaleAwareRoIExtractor(
        roi_layer=layer, out_channels=channels, featmap_strides=list(strides), **kwargs
    )


def rois_of_sides(sides, image=0):
    sides = torch.as_tensor(sides, dtype=torch.float32)
    rois = torch.zeros(len(sides), 5)
    rois[:, 0] = image
    rois[:, 3:] = sides[:, None]
    return rois


def pyramid(size=224, channels=3, batch=2, seed=0):
    generator = torch.manual_seed(seed)
    return [
        torch.randn(batch, channels, size // s, size // s, generator=generator)
        for s in (4, 8, 16, 32)
    ]


def random_rois(num=24, size=224, batch=2, seed=0):
    generator = torch.manual_seed(seed)
    side = torch.rand(num, 2, generator=generator) * size * 0.98 + 2
    corner = torch.rand(num, 2, generator=generator) * (size - side)
    image = torch.arange(num)[:, None] % batch
    return torch.cat([image, corner, corner + side], dim=1)


class TestLevels:
    @pytest.mark.parametrize(
        "side, level",
        [(0, 0), (1, 0), (48, 0), (48.01, 1), (96, 1), (97, 2), (192, 2), (193, 3), (2000, 3)],
    )
    def test_thresholds_belong_to_the_finer_level(self, side, level):
        assert extractor().map_roi_levels(rois_of_sides([side]), 4).tolist() == [level]

    def test_the_size_is_the_geometric_mean(self):
        roi = torch.tensor([[0.0, 0, 0, 24, 96]])  # sqrt(24 * 96) = 48
        assert extractor().map_roi_levels(roi, 4).tolist() == [0]

    @pytest.mark.parametrize("fixed", [0, 2])
    def test_fixed_level(self, fixed):
        levels = extractor(fixed_level=fixed).map_roi_levels(rois_of_sides([5, 50, 500]), 4)
        assert levels.tolist() == [fixed] * 3 and levels.dtype == torch.int64

    def test_used_levels(self):
        assert extractor().used_levels(rois_of_sides([10, 300, 20, 100])) == [0, 2, 3]

    def test_same_as_the_original_away_from_the_thresholds(self, golden):
        boxes, slots = golden("soco_boxes")["assign_boxes"], golden("soco_boxes")["assign_out"]
        edges = boxes[:, :4] + np.array([0, 0, 1, 1])  # its boxes are inclusive pixels
        sizes = np.sqrt((edges[:, 2:] - edges[:, :2]).prod(axis=1))
        assert_same_levels(edges, sizes, slots.argmax(axis=0), (slots > 0).sum(axis=0))

    @pytest.mark.parametrize("case", range(16))
    @pytest.mark.parametrize("view", ["1", "2", "2_112"])
    def test_same_slots_as_the_original(self, golden, case, view):
        data = golden("soco_boxes")
        boxes = data[f"c{case:02d}_resized{view}"]
        slots = data[f"c{case:02d}_assign{view}"].reshape(4, -1)
        edges = boxes[:, :4] + np.array([0, 0, 1, 1])
        sizes = np.sqrt((edges[:, 2:] - edges[:, :2]).prod(axis=1))
        assert_same_levels(edges, sizes, slots.argmax(axis=0), (slots > 0).sum(axis=0))

    def test_thresholds_must_fit_the_levels(self):
        with pytest.raises(ValueError, match="4 featmap_strides need 3 scale_thresholds"):
            extractor(scale_thresholds=(48, 96))


def assert_same_levels(edges, sizes, levels, slots_filled):
    rois = torch.from_numpy(np.concatenate([np.zeros((len(edges), 1)), edges], 1)).float()
    clear = (np.abs(sizes[:, None] - [48, 96, 192]) > 1.5).all(axis=1)
    clear &= slots_filled == 1  # the original drops boxes above 224, which no view has
    assert clear.any()
    ours = extractor().map_roi_levels(rois, 4).numpy()
    np.testing.assert_array_equal(ours[clear], levels[clear])


class TestExtractor:
    @pytest.mark.parametrize("sides", [None, [20, 30], [300], [30, 220, 25, 210]])
    def test_equals_mmdets_with_the_same_levels(self, sides):
        ours, rois = extractor(), random_rois() if sides is None else rois_of_sides(sides, 1)
        outputs, gradients = [], []
        for forward in (ours.forward, lambda *x: SingleRoIExtractor.forward(ours, *x)):
            feats = [feat.requires_grad_() for feat in pyramid()]
            outputs.append(forward(feats, rois))
            (outputs[-1] * torch.arange(7.0)).sum().backward()
            gradients.append([f.grad if f.grad is not None else 0 * f for f in feats])
        torch.testing.assert_close(*outputs, rtol=0, atol=0)
        torch.testing.assert_close(*gradients)

    def test_a_level_without_rois_may_be_missing_and_gets_no_gradient(self):
        feats, rois = pyramid(), rois_of_sides([20, 100])
        full = extractor()(feats, rois)
        torch.testing.assert_close(extractor()([feats[0], None, feats[2], None], rois), full)
        feats = [feat.requires_grad_() for feat in feats]
        extractor()(feats, rois).sum().backward()
        assert [feat.grad is None for feat in feats] == [False, True, False, True]

    @pytest.mark.parametrize("strides", [(4, 8, 16, 32), (16,)])
    def test_float32_under_autocast(self, strides):
        feats = [f.bfloat16() for f in pyramid()[: len(strides)]]
        rois = random_rois()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            ours = extractor(strides)(feats, rois)
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, extractor(strides)([f.float() for f in feats], rois))

    @pytest.mark.parametrize("strides", [(4, 8, 16, 32), (16,)])
    def test_the_memory_format_of_the_maps_does_not_matter(self, strides):
        """mmcv's RoIAlign reads channels-last maps as if they were contiguous."""
        feats, rois = pyramid()[: len(strides)], random_rois()
        last = [feat.to(memory_format=torch.channels_last) for feat in feats]
        outputs = [extractor(strides)(maps, rois) for maps in (feats, last)]
        torch.testing.assert_close(*outputs)

    @pytest.mark.parametrize("aligned", [True, False])
    def test_roi_align_is_the_originals(self, golden, aligned):
        data = golden("soco_roi_mlp")
        layer = RoIAlign(7, spatial_scale=1.0, sampling_ratio=0, aligned=aligned)
        ours = layer(torch.from_numpy(data["feat"]), torch.from_numpy(data["scaled_boxes"]))
        expected = data[f"roi_aligned_{str(aligned).lower()}"]
        np.testing.assert_allclose(ours.numpy(), expected, atol=1e-5)

    def test_ours_is_the_aligned_one(self, golden):
        data = golden("soco_roi_mlp")
        boxes = torch.from_numpy(data["scaled_boxes"])
        boxes[:, 1:] *= 16
        ours = extractor((16,), channels=5)([torch.from_numpy(data["feat"])], boxes)
        np.testing.assert_allclose(ours.numpy(), data["roi_aligned_true"], atol=1e-5)


class TestTrunk:
    @pytest.fixture
    def heads(self):
        register_all_modules(init_default_scope=False)
        kwargs = dict(in_channels=4, conv_out_channels=4, fc_out_channels=8, norm_cfg=BN)
        with DefaultScope.overwrite_default_scope("mmdet"):
            theirs = Shared4Conv1FCBBoxHead(roi_feat_size=7, num_classes=3, **kwargs)
        return BBoxHeadTrunk(roi_feat_size=7, **kwargs), theirs

    def test_keys_are_the_heads_without_classifier_and_regressor(self, heads):
        ours, theirs = (head.state_dict() for head in heads)
        assert {k: v.shape for k, v in ours.items()} == {
            k: v.shape for k, v in theirs.items() if not k.startswith(("fc_cls", "fc_reg"))
        }

    def test_output_is_what_the_heads_classifier_sees(self, heads):
        ours, theirs = heads
        theirs.load_state_dict(ours.state_dict(), strict=False)
        seen = []
        theirs.fc_cls.register_forward_hook(lambda module, args, out: seen.append(args[0]))
        x = torch.randn(6, 4, 7, 7, generator=torch.manual_seed(0))
        out = ours(x)
        theirs(x)
        assert out.shape == (6, 8)
        torch.testing.assert_close(out, seen[0])


class TestFPN:
    @pytest.fixture
    def necks(self):
        register_all_modules(init_default_scope=False)
        kwargs = dict(in_channels=[4, 6, 8, 10], out_channels=5, num_outs=4, norm_cfg=BN)
        ours, theirs = RegionFPN(**kwargs), FPN(**kwargs)
        theirs.load_state_dict(ours.state_dict())
        return ours.eval(), theirs.eval()

    @pytest.fixture
    def feats(self):
        generator = torch.manual_seed(0)  # odd sizes: upsampling by no whole number
        sizes = ((4, 15), (6, 8), (8, 4), (10, 2))
        return [torch.randn(2, c, s, s + 1, generator=generator) for c, s in sizes]

    @pytest.mark.parametrize("levels", [None, [0, 1, 2, 3], [2], [0, 3], [1, 2, 3], []])
    def test_equals_mmdets(self, necks, feats, levels):
        ours, theirs = (neck(feats) for neck in necks)
        torch.testing.assert_close(ours, theirs)
        chosen = necks[0](feats, levels=levels)
        assert len(chosen) == 4
        for level, (feat, reference) in enumerate(zip(chosen, theirs)):
            if levels is None or level in levels:
                torch.testing.assert_close(feat, reference)
            else:
                assert feat is None

    @pytest.mark.parametrize(
        ("levels", "merged", "out"),
        [
            ([2], [0, 0, 1, 1], [0, 0, 1, 0]),
            ([0, 3], [1, 1, 1, 1], [1, 0, 0, 1]),
            ([], [0, 0, 0, 0], [0, 0, 0, 0]),
        ],
    )
    def test_only_what_is_needed_is_computed(self, necks, feats, levels, merged, out):
        neck = necks[0].train()
        neck(feats, levels=levels)
        for convs, expected in ((neck.lateral_convs, merged), (neck.fpn_convs, out)):
            assert [int(conv.bn.num_batches_tracked) for conv in convs] == expected


class TestProjector:
    @pytest.fixture
    def projector(self, golden):
        data = golden("soco_roi_mlp")
        neck = NonLinearNeck(
            in_channels=12,
            hid_channels=20,
            out_channels=8,
            with_bias=True,
            with_last_bn=False,
            with_last_bias=True,
            with_avg_pool=False,
            norm_cfg=dict(type="BN1d"),
        )
        names = dict(fc0="linear1", bn0="bn1", fc1="linear2")
        state = {}
        for key in neck.state_dict():
            ours, field = key.split(".")
            state[key] = torch.from_numpy(np.asarray(data[f"mlp.{names[ours]}.{field}"]))
        neck.load_state_dict(state)
        return neck

    @pytest.mark.parametrize("mode", ["eval", "train"])
    def test_same_as_the_original(self, golden, projector, mode):
        data = golden("soco_roi_mlp")
        projector.train(mode == "train")
        (out,) = projector((torch.from_numpy(data["mlp_x"]),))
        np.testing.assert_allclose(out.detach().numpy(), data[f"mlp_{mode}"], atol=1e-5)

    def test_running_statistics_are_the_originals(self, golden, projector):
        data = golden("soco_roi_mlp")
        projector.train()((torch.from_numpy(data["mlp_x"]),))
        for name in ("mean", "var"):
            ours = getattr(projector.bn0, f"running_{name}").numpy()
            np.testing.assert_allclose(ours, data[f"mlp_running_{name}_after"], atol=1e-6)


class TestRoIHead:
    def test_takes_one_head(self):
        with pytest.raises(ValueError, match="one of bbox_head .FPN. and shared_head .C4."):
            RegionRoIHead(dict(type="ScaleAwareRoIExtractor"), bbox_head={}, shared_head={})

    def test_without_a_head_the_feature_is_flattened(self):
        head = RegionRoIHead(
            dict(
                type="mmregioncon.ScaleAwareRoIExtractor",
                roi_layer=dict(type="RoIAlign", output_size=7, sampling_ratio=0),
                out_channels=3,
                featmap_strides=[4, 8, 16, 32],
            )
        )
        feats, rois = pyramid(), random_rois()
        out = head(feats, rois)
        assert out.shape == (len(rois), 3 * 49)
        torch.testing.assert_close(out, head.bbox_roi_extractor(feats, rois).flatten(1))

    def test_a_shared_head_is_averaged_over_the_region(self):
        register_all_modules(init_default_scope=False)
        cfg = dict(
            type="RegionRoIHead",
            bbox_roi_extractor=dict(
                type="ScaleAwareRoIExtractor",
                roi_layer=dict(type="RoIAlign", output_size=14, sampling_ratio=0),
                out_channels=64,
                featmap_strides=[16],
            ),
            shared_head=dict(type="mmdet.ResLayer", depth=18, stage=1, stride=2, norm_cfg=BN),
        )
        with DefaultScope.overwrite_default_scope("mmregioncon"):
            head = MODELS.build(cfg).eval()
        feat = torch.randn(2, 64, 8, 8, generator=torch.manual_seed(0))
        rois = random_rois(num=3, size=128)
        out = head([feat], rois)
        pooled = head.bbox_roi_extractor([feat], rois)
        assert pooled.shape == (3, 64, 14, 14) and out.shape == (3, 128)
        torch.testing.assert_close(out, head.shared_head(pooled).mean(dim=(2, 3)))
