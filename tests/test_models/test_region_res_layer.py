"""The fast C4 head computes what mmdet's does."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from mmcv.ops import RoIAlign
from mmdet.models.roi_heads.shared_heads import ResLayer

from mmregioncon.models.modules import RegionResLayer, RegionRoIHead
from mmregioncon.models.modules.region_res_layer import axis_weights, pool
from mmregioncon.utils import register_all_modules

EXTRACTOR = dict(
    type="mmregioncon.ScaleAwareRoIExtractor",
    roi_layer=dict(type="RoIAlign", output_size=14, sampling_ratio=0),
    out_channels=1024,
    featmap_strides=[16],
)
HEAD = dict(depth=50, stage=3, stride=2, style="pytorch", norm_eval=False)


@pytest.fixture(scope="module")
def heads():
    """mmdet's shared head and ours with the same weights."""
    register_all_modules(init_default_scope=False)
    torch.manual_seed(0)
    plain, fast = (
        RegionRoIHead(EXTRACTOR, shared_head=dict(type=kind, **HEAD))
        for kind in ("mmdet.ResLayer", "mmregioncon.RegionResLayer")
    )
    fast.load_state_dict(plain.state_dict(), strict=True)
    return plain, fast


def rois():
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(6, 2, generator=generator) * 60
    size = 20 + torch.rand(6, 2, generator=generator) * 60
    image = torch.tensor([0.0, 0, 0, 1, 1, 1])[:, None]
    whole = torch.tensor([[0.0, 0, 0, 128, 128]])
    return torch.cat([torch.cat([image, corner, corner + size], 1), whole])


boxes = st.tuples(*[st.floats(-60, 200, width=32)] * 2, *[st.floats(0, 180, width=32)] * 2)


@given(st.lists(boxes, max_size=4), st.sampled_from([(8, 8), (5, 9), (1, 3)]), st.integers(0, 99))
def test_two_matrix_products_pool_as_mmcv_does(found, shape, seed):
    torch.manual_seed(seed)
    corners = torch.tensor(found).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    images = torch.randint(2, (len(found),))
    rois = torch.cat([images[:, None].float(), corners], dim=1)
    cells = (corners[:, 2:] - corners[:, :2]) / 16 / 6
    # Where a cell is a whole number of pixels wide, rounding decides the number of samples.
    assume((((cells - cells.round()).abs() > 1e-4) | (cells == 0)).all())
    feat = torch.randn(2, 5, *shape)
    edges = corners / 16 - 0.5
    rows = axis_weights(edges[:, 1], edges[:, 3], 6, shape[0])
    columns = axis_weights(edges[:, 0], edges[:, 2], 6, shape[1])
    pooled = pool(feat, images, rows, columns)
    torch.testing.assert_close(pooled, RoIAlign(6, 1 / 16, 0)(feat, rois), atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "change", [dict(sampling_ratio=4), dict(aligned=False), dict(output_size=(14, 7))]
)
def test_another_roi_align_is_refused(change):
    register_all_modules(init_default_scope=False)
    extractor = dict(EXTRACTOR, roi_layer=dict(EXTRACTOR["roi_layer"], **change))
    with pytest.raises(ValueError, match="RegionResLayer needs model.roi_head.bbox_roi_extractor"):
        RegionRoIHead(extractor, shared_head=dict(type="mmregioncon.RegionResLayer", **HEAD))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_values_gradients_and_statistics_agree(heads, memory_format):
    feat = torch.randn(2, 1024, 8, 8).contiguous(memory_format=memory_format)
    weights = torch.randn(7, 2048)
    results = []
    for head in heads:
        leaf = feat.clone().requires_grad_()
        head.zero_grad()
        vectors = head.train()((leaf,), rois())
        (vectors * weights).sum().backward()
        gradients = [leaf.grad, *(parameter.grad.clone() for parameter in head.parameters())]
        results.append(([vectors.detach(), *head.buffers()], gradients))
    # Rounding moves values across ReLU's kink, where gradients jump: noise of 1e-6 on the map
    # changes them by up to 8e-3.
    for (plain, fast), tolerance in zip(zip(*results), (1e-5, 2e-2)):
        for one, other in zip(plain, fast):
            difference = torch.linalg.vector_norm((other - one).double())
            assert difference <= tolerance * torch.linalg.vector_norm(one.double())


def test_key_names_are_mmdets():
    ours, theirs = RegionResLayer(**HEAD), ResLayer(**HEAD)
    assert ours.state_dict().keys() == theirs.state_dict().keys()


@pytest.mark.parametrize("change", [dict(depth=18), dict(stride=1), dict(style="caffe")])
def test_other_blocks_are_refused(change):
    with pytest.raises(ValueError, match="take mmdet.ResLayer"):
        RegionResLayer(**dict(HEAD, **change))
