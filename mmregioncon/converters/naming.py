"""How other projects name the parameters of a detector's modules: one table, read both ways.

A rule is a pair of templates, our name and theirs. ``{s}``, ``{b}``, ``{n}`` stand for whole
numbers (stage, block, index), ``{n+1}`` for the same number plus one, ``{p}`` for a parameter or
buffer of one layer, the other fields for what ``FIELDS`` says. Rules are tried in their order.

Our names are mmdet's: ``backbone.*``, ``neck.*`` (FPN), ``roi_head.bbox_head.shared_*``.
A leading ``module.`` (DDP) is taken off before their names are looked at.
"""

import re
from dataclasses import dataclass

_LAYER = r"(?:conv[1-3]|bn[1-3]|downsample\.[01])"
FIELDS = {
    "p": "weight|bias|running_mean|running_var|num_batches_tracked",
    "resnet": rf"conv1|bn1|layer[1-4]\.\d+\.{_LAYER}",
    "stage4": rf"layer4\.\d+\.{_LAYER}",
    "fpn": r"(?:lateral|fpn)_convs\.\d+\.(?:conv|bn)",
    "trunk": r"shared_convs\.\d+\.(?:conv|bn)|shared_fcs\.\d+",
}
_FIELD = re.compile(r"\{(\w+)(?:\+(\d+))?\}")


@dataclass(frozen=True)
class Template:
    """A parameter's name with fields, which reads and writes real names."""

    text: str

    def parse(self, key: str) -> dict[str, str] | None:
        """Values of the fields in ``key``; None if it is no such name."""
        pattern, end, offsets = "", 0, {}
        for field in _FIELD.finditer(self.text):
            name, offset = field.groups()
            offsets[name] = int(offset or 0)
            pattern += re.escape(self.text[end : field.start()])
            pattern += f"(?P<{name}>{FIELDS.get(name, '[0-9]+')})"
            end = field.end()
        match = re.fullmatch(pattern + re.escape(self.text[end:]), key)
        if match is None:
            return None
        return {
            name: value if name in FIELDS else str(int(value) - offsets[name])
            for name, value in match.groupdict().items()
        }

    def format(self, values: dict[str, str]) -> str:
        """The name with these values."""

        def fill(field):
            name, offset = field.groups()
            return values[name] if offset is None else str(int(values[name]) + int(offset))

        return _FIELD.sub(fill, self.text)


def rules(*pairs: tuple[str, str], prefix: str = "") -> tuple:
    """Rules from pairs of texts (ours, theirs); ``prefix`` goes before theirs."""
    return tuple((Template(ours), Template(prefix + theirs)) for ours, theirs in pairs)


TORCH = (("backbone.{resnet}.{p}", "{resnet}.{p}"),)
D2_RESNET = (
    ("backbone.conv1.{p}", "stem.conv1.{p}"),
    ("backbone.bn1.{p}", "stem.conv1.norm.{p}"),
    ("backbone.layer{s}.{b}.conv{n}.{p}", "res{s+1}.{b}.conv{n}.{p}"),
    ("backbone.layer{s}.{b}.bn{n}.{p}", "res{s+1}.{b}.conv{n}.norm.{p}"),
    ("backbone.layer{s}.{b}.downsample.0.{p}", "res{s+1}.{b}.shortcut.{p}"),
    ("backbone.layer{s}.{b}.downsample.1.{p}", "res{s+1}.{b}.shortcut.norm.{p}"),
)
# The stage that a C4 detector has in its RoI head.
D2_RES5 = tuple(
    tuple(text.replace("{s}", "4").replace("{s+1}", "5") for text in pair) for pair in D2_RESNET[2:]
)
D2_FPN = (
    ("neck.lateral_convs.{n}.conv.{p}", "fpn_lateral{n+2}.{p}"),
    ("neck.lateral_convs.{n}.bn.{p}", "fpn_lateral{n+2}.norm.{p}"),
    ("neck.fpn_convs.{n}.conv.{p}", "fpn_output{n+2}.{p}"),
    ("neck.fpn_convs.{n}.bn.{p}", "fpn_output{n+2}.norm.{p}"),
)
D2_HEAD = (
    ("roi_head.bbox_head.shared_convs.{n}.conv.{p}", "box_head.conv{n+1}.{p}"),
    ("roi_head.bbox_head.shared_convs.{n}.bn.{p}", "box_head.conv{n+1}.norm.{p}"),
    ("roi_head.bbox_head.shared_fcs.{n}.{p}", "box_head.fc{n+1}.{p}"),
)
SOCO_HEAD = (
    ("roi_head.bbox_head.shared_convs.{n}.conv.{p}", "head.conv{n+1}.{p}"),
    ("roi_head.bbox_head.shared_convs.{n}.bn.{p}", "head.bn{n+1}.{p}"),
    ("roi_head.bbox_head.shared_fcs.{n}.{p}", "head.fc{n+1}.{p}"),
)
NECK = (("neck.{fpn}.{p}", "neck.{fpn}.{p}"),)
HEAD = (("roi_head.bbox_head.{trunk}.{p}", "roi_head.bbox_head.{trunk}.{p}"),)
SHARED_HEAD = (("backbone.{stage4}.{p}", "roi_head.shared_head.{stage4}.{p}"),)

# What a detector of detectron2 calls them, so that it loads them without matching by likeness.
D2_C4_DETECTOR = rules(*D2_RES5, prefix="roi_heads.") + rules(*D2_RESNET, prefix="backbone.")
D2_FPN_DETECTOR = (
    rules(*D2_RESNET, prefix="backbone.bottom_up.")
    + rules(*D2_FPN, prefix="backbone.")
    + rules(*D2_HEAD, prefix="roi_heads.")
)
OURS = rules(*TORCH, prefix="backbone.") + rules(*NECK, *HEAD)

MODULES = ("backbone", "neck", "roi_head.bbox_head")


@dataclass(frozen=True)
class Source:
    """A format that checkpoints are read from.

    Attributes:
        title: What to call it.
        rules: Pairs of templates, ours and theirs.
        marks: Patterns; a file in which each finds a key is taken for one of this format.
        modules: Those that must be there whole. Others are read if they are there.
        drops: Patterns of the keys that are known and not for a detector, by what they are.
    """

    title: str
    rules: tuple
    marks: tuple
    modules: tuple = ("backbone",)
    drops: tuple = ()


_PLAIN_RESNET = Source(
    "plain ResNet (torchvision, timm, DenseCL)",
    rules(*TORCH),
    (r"conv1\.weight", r"layer1\.0\.conv1\.weight"),
    drops=(("classifier", r"fc\..*"),),
)
_D2_REST = (
    (
        "other parts of a detector",
        r"proposal_generator\..*|roi_heads\.(?:box_predictor|mask_head)\..*|pixel_(?:mean|std)",
    ),
)
_D2_RESNET = Source(
    "ResNet with detectron2's names (DetCo, SoCo C4)",
    rules(*D2_RESNET),
    (r"stem\.conv1\.weight",),
)
# In the order in which they are tried on a file.
SOURCES = {
    "soco": Source(
        "SoCo, training checkpoint",
        rules(*TORCH, prefix="encoder.") + rules(*NECK, *SOCO_HEAD),
        (r"encoder\.conv1\.weight",),
        MODULES,
        (
            ("momentum copies", r"(?:encoder|neck|head|projector)_k\..*"),
            ("projector and predictor", r"(?:projector|predictor)\..*"),
        ),
    ),
    "plrc": Source(
        "PLRC, training checkpoint",
        rules(*TORCH, prefix="encoder_q.enc."),
        (r"encoder_q\.enc\.conv1\.weight",),
        drops=(
            ("momentum copy", r"encoder_k\..*"),
            ("projectors", r"encoder_q\.enc\.fcs(?:_2)?\..*"),
            ("queues and centres", r"plrc_loss.*"),
        ),
    ),
    "ccop": Source(
        "CCOP, training checkpoint",
        rules(*D2_RESNET, prefix="backbone_q.bottom_up.") + rules(*D2_FPN, prefix="backbone_q."),
        (r"backbone_q\.bottom_up\.stem\.conv1\.weight",),
        ("backbone", "neck"),
        (
            ("momentum copies", r"(?:backbone|img_neck|roi_neck)_k\..*"),
            ("projectors", r"(?:img|roi)_neck_q\..*"),
            ("queues and counters", r"(?:img|roi)_queue\w*|\w+_ptr|iter|pixel_mean|pixel_std"),
        ),
    ),
    "mocov2": Source(
        "MoCo v2, training checkpoint",
        rules(*TORCH, prefix="encoder_q."),
        (r"encoder_q\.conv1\.weight",),
        drops=(
            ("momentum copy", r"encoder_k\..*"),
            ("projector", r"encoder_q\.fc\..*"),
            ("queue", r"queue(?:_ptr)?"),
        ),
    ),
    "soco-detectron2": Source(
        "SoCo with detectron2's names, FPN and head",
        rules(*D2_RESNET, *D2_FPN, *D2_HEAD),
        (r"stem\.conv1\.weight", r"(?:box_head|fpn_lateral).*"),
        MODULES,
    ),
    "soco-detectron2-c4": _D2_RESNET,
    "detco": _D2_RESNET,
    "detectron2-c4": Source(
        "C4 detector of detectron2",
        D2_C4_DETECTOR,
        (r"backbone\.stem\.conv1\.weight",),
        drops=_D2_REST,
    ),
    "detectron2-fpn": Source(
        "FPN detector of detectron2",
        D2_FPN_DETECTOR,
        (r"backbone\.bottom_up\.stem\.conv1\.weight",),
        ("backbone", "neck"),
        _D2_REST,
    ),
    "mmregioncon": Source(
        "MMRegionCon or mmdet",
        rules(*SHARED_HEAD) + OURS,
        (r"backbone\.conv1\.weight",),
        drops=(
            ("momentum copy", r"(?:teacher|encoder_k)\..*"),
            ("projectors and predictors", r"(?:projector|predictor|roi_projector)\..*"),
            ("projector of an mmpretrain method", r"neck\.(?:fc\d*|mlp\d?)\..*"),
            ("queues", r"(?:queues?|roi_queue)\..*|queue2?(?:_ptr)?"),
            (
                "other parts of a detector",
                r"rpn_head\..*|roi_head\.(?:bbox_head\.fc_(?:cls|reg)|mask_head)\..*",
            ),
        ),
    ),
    "torchvision": _PLAIN_RESNET,
    "timm": _PLAIN_RESNET,
    "densecl": _PLAIN_RESNET,
}


@dataclass(frozen=True)
class Target:
    """A format that checkpoints are written in.

    Attributes:
        title: What reads it.
        rules: Pairs of templates, ours and theirs.
        modules: Those that it holds; None for whatever is there.
        suffixes: Of files that it can be written to.
        counters: Whether BN's batch counters belong to it; a detector does not use them.
        flat: Whether a ``.pth`` of it is a state dict alone.
    """

    title: str
    rules: tuple
    modules: tuple | None = ("backbone",)
    suffixes: tuple = (".pth", ".safetensors")
    counters: bool = True
    flat: bool = False


def _detectron2(title, table, modules):
    return Target(title, table, modules, (".pkl", ".safetensors"), counters=False)


TARGETS = {
    "mmregioncon": Target("mmdet, with load_from", OURS, None),
    "mmregioncon-c4": Target("mmdet's C4 detectors, with load_from", rules(*SHARED_HEAD) + OURS),
    "detectron2-c4": _detectron2("C4 detectors", D2_C4_DETECTOR, ("backbone",)),
    "detectron2-fpn": _detectron2("FPN detectors", D2_FPN_DETECTOR, ("backbone", "neck")),
    "detectron2-head": _detectron2("FPN detectors with this box head", D2_FPN_DETECTOR, MODULES),
    "torchvision": Target("torchvision's ResNets", rules(*TORCH), flat=True),
    "timm": Target("timm's ResNets", rules(*TORCH), flat=True),
}


def to_ours(key: str, table: tuple) -> str | None:
    """Our name of their ``key``; None if no rule knows it."""
    return _rename(key, ((theirs, ours) for ours, theirs in table))


def to_theirs(key: str, table: tuple) -> str | None:
    """Their name of our ``key``; None if no rule knows it."""
    return _rename(key, table)


def _rename(key, pairs):
    for template, other in pairs:
        values = template.parse(key)
        if values is not None:
            return other.format(values)
    return None
