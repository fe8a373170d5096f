"""The fast C4 head computes what mmdet's does."""

import pytest
import torch
from mmcv.ops import RoIAlign
from mmdet.models.roi_heads.shared_heads import ResLayer

from mmregioncon.models.modules import RegionResLayer, RegionRoIHead
from mmregioncon.models.modules.region_res_layer import every_second_cell
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


def test_the_cells_are_those_of_a_strided_pooling():
    feat = torch.randn(2, 5, 8, 8)
    pooled = RoIAlign(14, 1 / 16, 0)(feat, rois())[:, :, ::2, ::2]
    cells = RoIAlign(1, 1 / 16, 0)(feat, every_second_cell(rois(), 14))
    torch.testing.assert_close(cells.view(-1, 7, 7, 5).permute(0, 3, 1, 2), pooled)


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
        gradients = [parameter.grad.clone() for parameter in head.parameters()]
        results.append([vectors.detach(), leaf.grad, *gradients, *head.buffers()])
    for plain, fast in zip(*results):
        # In the norm: where rounding moves a value across ReLU's kink, its gradient jumps.
        difference = torch.linalg.vector_norm((fast - plain).double())
        assert difference <= 3e-3 * torch.linalg.vector_norm(plain.double())


def test_key_names_are_mmdets():
    ours, theirs = RegionResLayer(**HEAD), ResLayer(**HEAD)
    assert ours.state_dict().keys() == theirs.state_dict().keys()


@pytest.mark.parametrize("change", [dict(depth=18), dict(stride=1), dict(style="caffe")])
def test_other_blocks_are_refused(change):
    with pytest.raises(ValueError, match="take mmdet.ResLayer"):
        RegionResLayer(**dict(HEAD, **change))
