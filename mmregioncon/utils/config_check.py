"""Typos in configs and ``--cfg-options``, told with file, key and the likely meaning."""

import inspect
import re
from contextlib import contextmanager
from difflib import get_close_matches

from mmengine.runner import Runner

from mmregioncon.registry import TRANSFORMS

# How alike two keys must be before one is taken for a typo of the other.
SIMILARITY = 0.8
# Top-level keys that mmdet, MMEngine or our tools read besides Runner's arguments.
EXTRA_KEYS = {
    "custom_imports", "env_cfg", "find_unused_parameters", "model_wrapper_cfg", "runner_type",
    "sync_bn", "work_dir",
}  # fmt: skip
RUNNER_KEYS = (set(inspect.signature(Runner.__init__).parameters) | EXTRA_KEYS) - {"self", "cfg"}


class ConfigError(ValueError):
    """A key or value of a config is wrong; the message names file, key and remedy."""


def _suggest(key, candidates):
    """Return `` Did you mean 'x'?`` or an empty string."""
    close = get_close_matches(str(key), [str(name) for name in candidates], 1, SIMILARITY)
    return f" Did you mean {close[0]!r}?" if close else ""


def check_top_level(cfg):
    """Raise ConfigError if a top-level key looks like a typo of one that Runner reads.

    Other top-level names are fine: configs keep helper variables there.
    """
    for key in cfg:
        suggestion = "" if key in RUNNER_KEYS else _suggest(key, RUNNER_KEYS - set(cfg))
        if suggestion:
            raise ConfigError(f"{cfg.filename}: nothing reads the key {key!r}.{suggestion}")


def check_queues(cfg, world_size):
    """Raise ConfigError for a queue that cannot take the keys of one step.

    Args:
        cfg: a pre-training config; one without queues passes.
        world_size: ranks whose keys are gathered.
    """
    loader = cfg.get("train_dataloader", {})
    images = loader.get("batch_size", 0) * world_size
    origin = f"train_dataloader.batch_size x {world_size} rank{'s' if world_size > 1 else ''}"
    most = max(
        (_argument(step, "max_regions") for step in _transforms(cfg, "CommonRegions")), default=1
    )
    for path in _find(cfg.get("model", {}), lambda k, v: k in ("length", "queue_len"), "model"):
        length, keys, step = _get(cfg, path), images, f"one step has {images} keys ({origin})"
        if "roi_queue" in path:
            keys *= most
            step = f"one step may have {keys} keys ({origin} x max_regions={most})"
        if length < keys:
            raise ConfigError(f"{cfg.filename}: {path}={length}, but {step}: raise {path}")
        if path.endswith("queue_len") and length % keys:  # of mmpretrain's MoCo and DenseCL
            raise ConfigError(
                f"{cfg.filename}: {path}={length} is not a multiple of a step's keys, and {step}: "
                f"try {path}={length // keys * keys}"
            )


def check_parts(cfg):
    """Raise ConfigError if the model and the data pipeline do not fit together.

    Args:
        cfg: a pre-training config.
    """
    for check in (_check_points, _check_patches, _check_views, _check_crops, _check_colours):
        check(cfg, cfg.get("model", {}))


def _check_points(cfg, model):
    """PLRC has points, of regions that the head can contrast."""
    steps, head = _transforms(cfg, "SampleRegionPoints"), model.get("head") or {}
    if _last_name(model) == "PLRC" and not steps:
        raise ConfigError(
            f"{cfg.filename}: PLRC needs SampleRegionPoints in train_dataloader.dataset.pipeline, "
            "and before it a label map: GridLabels, FelzenszwalbLabels or MaskLabels"
        )
    for step in steps:
        if head.get("level") == "point" and not step.get("matched"):
            raise ConfigError(
                f"{cfg.filename}: model.head.level='point' needs the same points in both views: "
                "set SampleRegionPoints.matched=True in train_dataloader.dataset.pipeline"
            )
        alone = step.get("max_regions") == 1 and head.get("negatives", "image") == "image"
        if alone and _last_name(head) == "PLRCHead" and head.get("level") != "point":
            raise ConfigError(
                f"{cfg.filename}: SampleRegionPoints.max_regions=1 leaves nothing in an image to "
                "contrast a region with: raise it, or set model.head.negatives='batch'"
            )


def _check_patches(cfg, model):
    """DetCo's patches fit the crop and the projector."""
    for step in _transforms(cfg, "JigsawPatches"):
        grid = _argument(step, "grid")
        patches, found = grid**2, model.projector.get("num_patches", 9)
        if patches != found:
            raise ConfigError(
                f"{cfg.filename}: model.projector.num_patches={found}, but JigsawPatches in "
                f"train_dataloader.dataset.pipeline makes {patches} (grid={grid})"
            )
    for view in _views(cfg):
        crops = [one.get("scale") for one in view if _last_name(one) == "RegionRandomResizedCrop"]
        cuts = [_argument(one, "crop_size") for one in view if _last_name(one) == "JigsawPatches"]
        if crops and cuts and crops[-1] != cuts[0]:
            raise ConfigError(
                f"{cfg.filename}: JigsawPatches.crop_size={cuts[0]} follows "
                f"RegionRandomResizedCrop.scale={crops[-1]} in one view: make them equal"
            )


def _check_views(cfg, model):
    """DetCo gets as many views as its terms need."""
    if _last_name(model) != "DetCo" or "terms" not in model:
        return
    from mmregioncon.models.heads.detco_head import kinds_of_terms  # models import slowly

    wanted, found = 2 * len(kinds_of_terms(model.terms)[0]), len(_views(cfg))
    if found != wanted:
        raise ConfigError(
            f"{cfg.filename}: model.terms={tuple(model.terms)} needs {wanted} views, a query and a "
            f"key of each kind; RegionMultiView.pipelines makes {found}"
        )


def _check_crops(cfg, model):
    """CCOP's windows are drawn for the size that they are cropped to."""
    for draw in _transforms(cfg, "DrawRegionCrops"):
        for crop in _transforms(cfg, "RegionCrop"):
            if crop.get("size") != draw.get("size"):
                raise ConfigError(
                    f"{cfg.filename}: DrawRegionCrops.size={draw.get('size')}, but "
                    f"RegionCrop.size={crop.get('size')}: boxes would be judged at another size"
                )


def _check_colours(cfg, model):
    """Colours that the loader leaves to the device are done there."""
    dataset = cfg.get("train_dataloader", {}).get("dataset") or {}
    preprocessor = (model.get("data_preprocessor") or {}).get("type", _default_preprocessor(cfg))
    if dataset.get("colours_on_device") and "RegionDataPreprocessor" not in preprocessor:
        raise ConfigError(
            f"{cfg.filename}: train_dataloader.dataset.colours_on_device=True, but "
            f"model.data_preprocessor.type={preprocessor!r} does nothing to colours: use "
            "'mmregioncon.RegionDataPreprocessor'"
        )


def _argument(step, name):
    """An argument of a transform of ours, by its constructor's default if the config has none."""
    built = TRANSFORMS.get(_last_name(step))
    return step.get(name, inspect.signature(built).parameters[name].default)


def _last_name(part):
    """The type of a part's config, without its scope."""
    return str(part.get("type")).split(".")[-1]


def _default_preprocessor(cfg):
    """What a model has that names none: ours, if it is one of this project."""
    scope, dot, _ = str(cfg.get("model", {}).get("type", "")).rpartition(".")
    own = (scope if dot else cfg.get("default_scope", "mmregioncon")) == "mmregioncon"
    return "RegionDataPreprocessor" if own else "that of the model"


def _views(cfg):
    """The pipelines of the views."""
    return [view for multi in _transforms(cfg, "RegionMultiView") for view in multi["pipelines"]]


def _transforms(cfg, name):
    """Configs of the transforms of one type in the training pipeline, also within views."""
    loader = cfg.get("train_dataloader", {})
    paths = _find(loader, lambda k, v: k == "type" and str(v).split(".")[-1] == name)
    return [_get(loader, path.removesuffix(".type")) for path in paths]


def _get(node, path):
    for key in path.split("."):
        node = node[int(key)] if isinstance(node, (list, tuple)) else node[key]
    return node


def check_options(cfg, options):
    """Raise ConfigError for ``--cfg-options`` that would silently change nothing.

    A key that the config lacks is accepted if it is one of Runner's, or a new argument of
    something with a ``type``, whose constructor refuses unknown ones. A key that
    resembles one beside it is taken for a typo of that.

    Args:
        cfg: The config before the options are merged.
        options: Dotted key path to value.
    """
    for path in options:
        _check_path(cfg, path)


def _check_path(cfg, path):
    node, parents = cfg, []
    for key in path.split("."):
        where = ".".join(parents) or "the top level"
        if isinstance(node, (list, tuple)):
            if not key.isdigit() or int(key) >= len(node):
                raise _option_error(cfg, path, f"{where} is a list of {len(node)} items.")
            node = node[int(key)]
        elif hasattr(node, "keys"):
            if key not in node:
                _check_new_key(cfg, path, key, node, where)
                return
            node = node[key]
        else:  # a value that becomes a dict: grad_clip=None -> grad_clip.max_norm=1
            return
        parents.append(key)


def _check_new_key(cfg, path, key, node, where):
    known = RUNNER_KEYS | set(node) if node is cfg else set(node)
    suggestion = _suggest(key, known - {key})
    if node is cfg and key in RUNNER_KEYS:
        return
    if suggestion or (node is cfg):
        raise _option_error(cfg, path, f"{key!r} is not a key of {where}.{suggestion}")


def _option_error(cfg, path, reason):
    return ConfigError(f"--cfg-options {path}: {reason} The config is {cfg.filename}.")


@contextmanager
def explain_build_errors(cfg):
    """Turn the registries' TypeError and KeyError into a ConfigError that names the key.

    Only errors raised while something is built from ``cfg`` are touched.
    """
    try:
        yield
    except (TypeError, KeyError) as error:
        explained = _explain(cfg, error)
        if explained is None:
            raise
        raise ConfigError(explained) from error


def _explain(cfg, error):
    frame = _innermost_build(error.__traceback__)
    unexpected = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    unknown_type = re.search(r"(\S+) is not in the \S+::.* registry", str(error))
    if frame is None:
        return None
    if isinstance(error, TypeError) and unexpected and "obj_cls" in frame:
        key, built = unexpected.group(1), frame["obj_cls"]
        message = f"{built.__name__} has no argument {key!r}."
        known, places = _arguments(built), _find(cfg, lambda k, v: k == key)
    elif isinstance(error, KeyError) and unknown_type:
        name = unknown_type.group(1).strip("'\"")
        message = f"no {frame['registry'].name} is called {name!r}."
        key, known = name.split(".")[-1], frame["registry"].module_dict
        places = _find(cfg, lambda k, v: k == "type" and v == name)
    else:
        return None
    where = " or ".join(places) or "a key set by a default"
    return f"{cfg.filename}: {where}: {message}{_suggest(key, known)}"


def _innermost_build(traceback):
    """Return the locals of the innermost ``build_from_cfg`` frame, None without one."""
    found = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_name == "build_from_cfg":
            found = traceback.tb_frame.f_locals
        traceback = traceback.tb_next
    return found


def _arguments(built):
    """Return the names of the arguments that a class (with its bases) or a function takes."""
    classes = built.__mro__ if inspect.isclass(built) else (built,)
    functions = [vars(c).get("__init__") if inspect.isclass(c) else c for c in classes]
    functions = [function for function in functions if inspect.isfunction(function)]
    return {name for function in functions for name in inspect.signature(function).parameters}


def _find(node, matches, path=""):
    """Return the dotted paths below ``node`` whose key and value match."""
    if hasattr(node, "items"):
        items = list(node.items())
    elif isinstance(node, (list, tuple)):
        items = list(enumerate(node))
    else:
        return []
    found = []
    for key, value in items:
        here = f"{path}.{key}" if path else str(key)
        found += [here] if matches(key, value) else []
        found += _find(value, matches, here)
    return found
