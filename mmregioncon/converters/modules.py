"""The detector modules that a checkpoint fits, found from its names and shapes."""

import re

import torch
from mmdet.models.backbones import ResNet
from mmdet.models.backbones.resnet import Bottleneck
from mmdet.models.necks import FPN
from mmengine.model import BaseModule
from torch import nn

from mmregioncon.models.modules.bbox_trunk import BBoxHeadTrunk

NUM_STAGES = 4


class DetectorModules(BaseModule):
    """A detector's ResNet and, where given, its FPN and the trunk of its box head.

    The parameters have the names that mmdet's detectors give them.

    Args:
        backbone: arguments of mmdet's ``ResNet``.
        neck: arguments of mmdet's ``FPN``.
        bbox_head: arguments of :class:`BBoxHeadTrunk`.
    """

    def __init__(self, backbone, neck=None, bbox_head=None):
        super().__init__()
        self.backbone = ResNet(**backbone)
        if neck is not None:
            self.neck = FPN(**neck)
        if bbox_head is not None:
            self.roi_head = nn.ModuleDict({"bbox_head": BBoxHeadTrunk(**bbox_head)})

    def forward(self, images):
        """Feature maps, finest first, of normalised RGB images ``(B, 3, H, W)`` float32.

        Returns:
            tuple[torch.Tensor]: ``(B, C_i, H_i, W_i)``, of the FPN if there is one, else of the
            ResNet's four stages.
        """
        feats = self.backbone(images)
        return self.neck(feats) if hasattr(self, "neck") else feats


def infer_modules(state: dict[str, torch.Tensor], required: tuple) -> dict[str, dict]:
    """Arguments of :class:`DetectorModules` for a state dict with our names.

    A count that is between those of two ResNets is taken for the larger one, so that what a file
    lacks is found missing.

    Args:
        state: names of ours to tensors.
        required: modules that there must be, out of ``backbone``, ``neck`` and
            ``roi_head.bbox_head``; others are found by their names.

    Raises:
        ValueError: no ResNet of mmdet has as many blocks.
    """
    backbone = _infer_resnet(state)
    found = dict(backbone=backbone)
    if "neck" in required or _any(state, "neck."):
        found["neck"] = _infer_fpn(state, backbone)
    if "roi_head.bbox_head" in required or _any(state, "roi_head.bbox_head."):
        found["bbox_head"] = _infer_trunk(state, found.get("neck", {}).get("out_channels", 256))
    return found


def expected_state(modules: dict[str, dict]) -> dict[str, torch.Tensor]:
    """Names and shapes (on the meta device) of the modules' parameters and buffers."""
    with torch.device("meta"):
        return DetectorModules(**modules).state_dict()


def _infer_resnet(state):
    blocks = [_count(state, rf"backbone\.layer{i + 1}\.(\d+)\.") for i in range(NUM_STAGES)]
    bottleneck = any(".conv3." in key for key in state if key.startswith("backbone."))
    base = _rows(state, "backbone.layer1.0.conv1.weight", 64)
    for depth, (block, stages) in ResNet.arch_settings.items():
        fits = all(found <= wanted for found, wanted in zip(blocks, stages))
        if fits and bottleneck == (block is Bottleneck):
            return dict(depth=depth, base_channels=base)
    kind = "bottleneck" if bottleneck else "basic"
    raise ValueError(f"no ResNet has {blocks} {kind} blocks in its {NUM_STAGES} stages")


def _infer_fpn(state, backbone):
    expansion = ResNet.arch_settings[backbone["depth"]][0].expansion
    width = backbone["base_channels"] * expansion
    return dict(
        in_channels=[width * 2**stage for stage in range(NUM_STAGES)],
        out_channels=_rows(state, "neck.lateral_convs.0.conv.weight", 256),
        num_outs=NUM_STAGES,
        norm_cfg=_infer_norm(state, "neck."),
    )


def _infer_trunk(state, channels):
    name = "roi_head.bbox_head.shared_"
    known = _any(state, name)
    return dict(
        num_shared_convs=_count(state, rf"{re.escape(name)}convs\.(\d+)\.") if known else 4,
        num_shared_fcs=_count(state, rf"{re.escape(name)}fcs\.(\d+)\.") or 1,
        in_channels=channels,
        conv_out_channels=_rows(state, f"{name}convs.0.conv.weight", channels),
        fc_out_channels=_rows(state, f"{name}fcs.0.weight", 1024),
        norm_cfg=_infer_norm(state, name),
    )


def _infer_norm(state, prefix):
    """BN, unless there are layers and none has one."""
    layers = [key for key in state if key.startswith(prefix)]
    return dict(type="BN") if not layers or any(".bn." in key for key in layers) else None


def _any(state, prefix):
    return any(key.startswith(prefix) for key in state)


def _count(state, pattern):
    """One more than the largest index that the pattern finds; 0 if it finds none."""
    matches = (re.match(pattern, key) for key in state)
    return max((int(match[1]) + 1 for match in matches if match), default=0)


def _rows(state, key, default):
    return state[key].shape[0] if key in state and state[key].dim() else default
