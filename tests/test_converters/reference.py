"""Models as the originals name them, written out, and checkpoints with their keys."""

import argparse

import torch
import torch.nn.functional as F
import torchvision
from mmdet.models.necks import FPN
from torch import nn


class ConvNorm(nn.Conv2d):
    """detectron2's convolution with the norm layer inside."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, bias=False, **kwargs)
        self.norm = nn.BatchNorm2d(self.out_channels)

    def forward(self, x):
        return self.norm(super().forward(x))


class D2Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = ConvNorm(inputs, width, 1)
        self.conv2 = ConvNorm(width, width, 3, stride=stride, padding=1)
        self.conv3 = ConvNorm(width, 4 * width, 1)
        if inputs != 4 * width:
            self.shortcut = ConvNorm(inputs, 4 * width, 1, stride=stride)

    def forward(self, x):
        out = self.conv3(self.conv2(self.conv1(x).relu()).relu())
        return (out + (self.shortcut(x) if hasattr(self, "shortcut") else x)).relu()


class D2ResNet50(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Module()
        self.stem.conv1 = ConvNorm(3, 64, 7, stride=2, padding=3)
        inputs = 64
        for stage, blocks in zip((2, 3, 4, 5), (3, 4, 6, 3)):
            width, layers = 16 * 2**stage, []
            for block in range(blocks):
                stride = 2 if stage > 2 and block == 0 else 1
                layers.append(D2Bottleneck(inputs, width, stride))
                inputs = 4 * width
            self.add_module(f"res{stage}", nn.Sequential(*layers))

    def forward(self, x):
        x = F.max_pool2d(self.stem.conv1(x).relu(), 3, 2, 1)
        feats = []
        for stage in (self.res2, self.res3, self.res4, self.res5):
            x = stage(x)
            feats.append(x)
        return feats


class D2FPN(nn.Module):
    """Nearest-neighbour top-down pathway on ``bottom_up``, without the extra level P6."""

    def __init__(self):
        super().__init__()
        self.bottom_up = D2ResNet50()
        for level in (2, 3, 4, 5):
            self.add_module(f"fpn_lateral{level}", ConvNorm(64 * 2**level, 256, 1))
            self.add_module(f"fpn_output{level}", ConvNorm(256, 256, 3, padding=1))

    def forward(self, x):
        feats = self.bottom_up(x)
        top, outs = None, []
        for level, feat in zip((5, 4, 3, 2), feats[::-1]):
            lateral = getattr(self, f"fpn_lateral{level}")(feat)
            top = lateral if top is None else lateral + F.interpolate(top, scale_factor=2)
            outs.append(getattr(self, f"fpn_output{level}")(top))
        return outs[::-1]


class D2BoxHead(nn.Module):
    """Four convolutions and a linear layer on 7x7 RoI features."""

    def __init__(self):
        super().__init__()
        for i in (1, 2, 3, 4):
            self.add_module(f"conv{i}", ConvNorm(256, 256, 3, padding=1))
        self.fc1 = nn.Linear(256 * 7 * 7, 1024)

    def forward(self, x):
        for i in (1, 2, 3, 4):
            x = getattr(self, f"conv{i}")(x).relu()
        return self.fc1(x.flatten(1)).relu()


def d2_detector():
    """``backbone`` and ``roi_heads.box_head``, named as in detectron2's GeneralizedRCNN."""
    detector = nn.Module()
    detector.backbone = D2FPN()
    detector.roi_heads = nn.Module()
    detector.roi_heads.box_head = D2BoxHead()
    return detector.eval()


class SoCoHead(nn.Module):
    def __init__(self):
        super().__init__()
        for i in (1, 2, 3, 4):
            self.add_module(f"conv{i}", nn.Conv2d(256, 256, 3, padding=1, bias=False))
            self.add_module(f"bn{i}", nn.BatchNorm2d(256))
        self.fc1 = nn.Linear(256 * 7 * 7, 1024)


class SoCoMLP(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.linear1 = nn.Linear(inputs, 4096)
        self.bn1 = nn.BatchNorm1d(4096)
        self.linear2 = nn.Linear(4096, 256)


def mlp(*widths):
    """Linear layers 0, 2, ... with ReLUs between them."""
    layers = []
    for inputs, outputs in zip(widths, widths[1:]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def torch_resnet50(classifier=None):
    model = torchvision.models.resnet50()
    if classifier is None:
        del model.fc
    else:
        model.fc = classifier
    return model


def resnet_fpn():
    """mmdet's FPN for a ResNet-50, with BN."""
    return FPN([256, 512, 1024, 2048], 256, 4, norm_cfg=dict(type="BN"))


def keys(module, prefix=""):
    return {prefix + key: value for key, value in module.state_dict().items()}


def numbered(state):
    """Tensors of the same shapes, each full of its own number, without the memory."""
    return {
        key: torch.tensor(i, dtype=value.dtype, device="cpu").expand(value.shape)
        for i, (key, value) in enumerate(state.items())
    }


def without_counters(state):
    return {key: value for key, value in state.items() if "num_batches_tracked" not in key}


def soco():
    state = {}
    for suffix in ("", "_k"):
        state |= keys(torch_resnet50(), f"module.encoder{suffix}.")
        state |= keys(resnet_fpn(), f"module.neck{suffix}.")
        state |= keys(SoCoHead(), f"module.head{suffix}.")
        state |= keys(SoCoMLP(1024), f"module.projector{suffix}.")
    state |= keys(SoCoMLP(256), "module.predictor.")
    opt = argparse.Namespace(arch="resnet50", batch_size=256, lr=1.0)
    rest = dict(opt=opt, optimizer=dict(state={}), scheduler=dict(last_epoch=3), epoch=400)
    return dict(model=numbered(state), **rest)


def soco_detectron2():
    detector = d2_detector()
    state = keys(detector.backbone.bottom_up)
    state |= {k: v for k, v in keys(detector.backbone).items() if k.startswith("fpn_")}
    state |= keys(detector.roi_heads.box_head, "box_head.")
    return numbered(without_counters(state))


def detco():
    return numbered(without_counters(keys(D2ResNet50())))


def plrc():
    state = {}
    for name in ("encoder_q", "encoder_k"):
        state |= keys(torch_resnet50(), f"module.{name}.enc.")
        state |= keys(mlp(2048, 2048, 128), f"module.{name}.enc.fcs.")
        state |= keys(mlp(2048, 2048, 128), f"module.{name}.enc.fcs_2.")
    state["module.plrc_loss.queue_x"] = torch.empty(128, 64)
    state["module.plrc_loss.ptr"] = torch.zeros(1, dtype=torch.long)
    state["module.plrc_loss_2.self_distillation.center"] = torch.empty(1, 128)
    return dict(epoch=100, arch="resnet50", state_dict=numbered(state), optimizer={})


def ccop():
    state = {}
    for name in ("q", "k"):
        state |= keys(D2FPN(), f"backbone_{name}.")
        for neck, inputs in (("img", 2048), ("roi", 12544)):
            layers = nn.ModuleDict(
                dict(linear_1=nn.Sequential(nn.Linear(inputs, 8)), last_linear=nn.Linear(8, 128))
            )
            state |= keys(layers, f"{neck}_neck_{name}.mlp.")
    for name in ("img_queue", "roi_queue"):
        state |= {name: torch.empty(128, 64), f"{name}_ptr": torch.zeros(1)}
    state |= {"iter": torch.zeros(1), "pixel_mean": torch.empty(3, 1, 1)}
    state |= {"pixel_std": torch.empty(3, 1, 1)}
    return dict(meta={}, state_dict=numbered(state), optimizer={})


def mocov2():
    state = {}
    for name in ("encoder_q", "encoder_k"):
        state |= keys(torch_resnet50(mlp(2048, 2048, 128)), f"module.{name}.")
    state |= {"module.queue": torch.empty(128, 64), "module.queue_ptr": torch.zeros(1)}
    return dict(epoch=200, arch="resnet50", state_dict=numbered(state), optimizer={})


def densecl():
    return dict(state_dict=numbered(keys(torch_resnet50())), author="DenseCL")


def densecl_prefixed():
    return dict(state_dict=numbered(keys(torch_resnet50(), "backbone.")), author="DenseCL")


def torchvision_resnet():
    return numbered(keys(torch_resnet50(nn.Linear(2048, 1000))))
