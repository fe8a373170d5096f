"""The listed models, and a pre-trained model in one call."""

import copy
import fnmatch
import hashlib
import logging
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import MMLogger, print_log
from mmengine.registry import DefaultScope
from modelindex.load_model_index import load as load_index
from torch import nn
from torch.hub import download_url_to_file, get_dir

from mmregioncon.converters import (
    CheckpointError,
    DetectorModules,
    detect_source,
    find_tensors,
    read_checkpoint,
    to_detector,
)
from mmregioncon.engine.hooks.load_report import copy_keys, match_module
from mmregioncon.registry import MODELS
from mmregioncon.utils import register_all_modules

PACKAGE = Path(__file__).resolve().parents[1]
INDEX = "model-index.yml"
HASH = re.compile(r"-([0-9a-f]{8,})\.")  # in the name of a published file
SUFFIXES = (".pth", ".pkl", ".safetensors", ".tar")
# A C4 detector has the last stage in its RoI head.
C4_COPIES = {
    "backbone.layer4.": "roi_head.shared_head.layer4.",
    "roi_head.shared_head.layer4.": "backbone.layer4.",
}
# A detector's modules that pre-training can fill, by the prefix of their keys.
PARTS = ("backbone.", "neck.", "roi_head.shared_head.", "roi_head.bbox_head.shared_")


@dataclass(frozen=True)
class ModelInfo:
    """One model of ``model-index.yml``.

    Attributes:
        name: The config's name.
        method: Its collection.
        config: The config file.
        weights: URL or file of the released weights; None if there are none.
        metadata: Epochs, batch size, training data.
        results: What was measured with the weights, as the metafile lists it.
    """

    name: str
    method: str
    config: Path
    weights: str | None
    metadata: dict = field(default_factory=dict)
    results: list = field(default_factory=list)


@cache
def model_index() -> dict[str, ModelInfo]:
    """All listed models by name, of the source tree or of the installed wheel."""
    roots = (PACKAGE.parent, PACKAGE / ".mim")  # the source tree, or an installed wheel
    root = next((root for root in roots if (root / INDEX).is_file()), None)
    if root is None:
        raise FileNotFoundError(
            f"no {INDEX} in {' or '.join(map(str, roots))}: install MMRegionCon with pip, or run "
            "it from its source tree"
        )
    return {model.name: _info(model, root) for model in load_index(str(root / INDEX)).models}


def _info(model, root):
    weights = model.weights
    if weights is not None and "://" not in weights:
        weights = str(root / weights)
    metadata = dict(model.metadata.data) if model.metadata else {}
    results = [result.data for result in model.results or []]
    config = root / model.config
    return ModelInfo(model.name, model.in_collection, config, weights, metadata, results)


def list_models(pattern: str = "*", released: bool = False) -> list[str]:
    """Names of the listed models.

    Args:
        pattern: a shell pattern, e.g. ``soco*``.
        released: only those whose weights can be loaded.
    """
    return sorted(
        name
        for name, model in model_index().items()
        if fnmatch.fnmatchcase(name, pattern) and (model.weights or not released)
    )


def load_pretrained(name_or_path, detector=None, device="cpu") -> nn.Module:
    """A pre-trained model, in evaluation mode.

    Args:
        name_or_path: a name of :func:`list_models`, or a checkpoint file: ours, or of any format
            that ``tools/model_converters/convert.py`` reads.
        detector: None, or the detector to fill: an mmdet model, a config, or its file.
        device: where to put the model.

    Returns:
        Without ``detector``: :class:`DetectorModules` (ResNet, and FPN and box head's trunk
        where the checkpoint has them), which turns normalised RGB images ``(B, 3, H, W)`` into
        feature maps. With it: the detector. Its backbone is filled; FPN, shared head and box
        head's trunk each if the checkpoint fills the whole of it, which the log says.

    Raises:
        ValueError: no such model, no released weights, or a checkpoint that does not fit.
    """
    path = _find_weights(str(name_or_path))
    tensors = find_tensors(read_checkpoint(path), path)
    if detector is not None:
        model = _fill(_build_detector(detector), tensors, path)
    else:
        found = to_detector(tensors, path)
        model = DetectorModules(**found.modules)
        model.load_state_dict(found.state)
    return model.to(device).eval()


def _find_weights(name):
    """The file of a path, a URL or a listed name."""
    if "://" in name:
        return _download(name)
    if Path(name).suffix in SUFFIXES:
        return name
    if name not in model_index():
        close = list_models(f"*{name}*") or get_close_matches(name, list_models(), 3, 0.4)
        hint = f"Did you mean {' or '.join(close[:3])}?" if close else "See list_models()."
        raise ValueError(f"{name!r} is neither a checkpoint file nor a listed model. {hint}")
    model = model_index()[name]
    if model.weights is None:
        released = ", ".join(list_models(released=True)) or "none"
        raise ValueError(
            f"{name} is listed, but its weights are not released (those of others: {released}). "
            f"Train them: python tools/train.py {model.config}"
        )
    return _download(model.weights) if "://" in model.weights else _checked(model.weights)


def _checked(path, remedy="fetch it anew"):
    """The path, if the file has the SHA-256 that its name tells."""
    told = HASH.search(Path(path).name)
    if told and Path(path).is_file():
        found = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        if not found.startswith(told[1]):
            raise CheckpointError(
                f"{path}: changed or cut off, since its SHA-256 begins with {found[:8]}: {remedy}"
            )
    return path


def _download(url):
    """The file behind a URL, kept in torch's cache."""
    file = Path(get_dir(), "checkpoints", url.rsplit("/")[-1])
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        download_url_to_file(url, str(file))
    return _checked(str(file), "delete it, and it is fetched anew")


def _build_detector(detector):
    """The detector that is meant, with initial weights; none are downloaded for its backbone."""
    if isinstance(detector, nn.Module):
        return detector
    if not isinstance(detector, Config):
        named = "::" in str(detector)  # mmdet::faster_rcnn/...
        detector = (
            Config.fromstring(f"_base_ = {detector!r}", ".py")
            if named
            else Config.fromfile(detector)
        )
    register_all_modules(init_default_scope=False)
    cfg = copy.deepcopy(detector.model)
    cfg.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope("mmdet"), _quiet():
        model = MODELS.build(cfg)
        model.init_weights()
    return model


@contextmanager
def _quiet():
    """Keep MMEngine from logging the initialisation of every parameter."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _with_our_names(tensors, path):
    """The state dict, converted if it is another project's; backbones need not be ResNets."""
    try:
        source = detect_source(tensors, path)
    except CheckpointError:
        source = "mmregioncon"
    return dict(tensors) if source == "mmregioncon" else to_detector(tensors, path).state


def _fill(detector, tensors, path):
    """Load the backbone, and each further part that the checkpoint has whole."""
    state = _with_our_names(tensors, path)
    copy_keys(state, C4_COPIES)
    own, counts, fitting = detector.state_dict(), [], {}
    for part in PARTS:
        match = match_module(own, state, part)
        if match.size and not match.misfit:
            fitting.update({key: state[key] for key in match.loaded})
        elif part == "backbone.":
            reason = match.misfit or "it has no backbone"
            raise CheckpointError(f"{path} does not fit this {type(detector).__name__}: {reason}")
        if match.size:
            counts.append(f"{part}* {match}" + (match.misfit and f" (left out: {match.misfit})"))
    print_log(f"Loading from {path}: {', '.join(counts)}", "current")
    detector.load_state_dict(fitting, strict=False)
    return detector
