"""Reports what a detector gets from a pre-training checkpoint, and fails when it gets nothing."""

import re
from collections import Counter
from dataclasses import dataclass, field

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop

from mmregioncon.registry import HOOKS


@dataclass
class ModuleMatch:
    """How the keys of one module and of a checkpoint fit together.

    Attributes:
        prefix: What the module's keys start with.
        loaded: Keys that are in both, with the same shape.
        missing: Keys of the module that the checkpoint does not have.
        other_shape: Keys that are in both with different shapes, and those shapes:
            ``{key: (shape in the checkpoint, shape in the detector)}``.
        unused: Keys of the checkpoint for which the module has no place.
    """

    prefix: str
    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    other_shape: dict[str, tuple] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many keys the module has."""
        return len(self.loaded) + len(self.missing) + len(self.other_shape)

    @property
    def misfit(self) -> str:
        """Why the checkpoint cannot fill the whole module; empty if it can."""
        if self.other_shape:
            key, (theirs, ours) = next(iter(self.other_shape.items()))
            shapes = f"'{key}' is {theirs} in the checkpoint and {ours} in the detector"
            return f"{len(self.other_shape)} of {self.size} shapes differ: {shapes}"
        if not self.loaded:
            return "the checkpoint has none of it"
        if self.missing_weights:
            missing = _some(self.missing_weights)
            return (
                f"the checkpoint lacks {len(self.missing_weights)} of {self.size} keys: {missing}"
            )
        return ""

    @property
    def missing_weights(self) -> list[str]:
        """Missing keys that matter: BN's batch counters are not used by a detector's BN."""
        return [key for key in self.missing if not key.endswith("num_batches_tracked")]

    def __str__(self) -> str:
        counters_only = self.missing and not self.missing_weights
        return f"{len(self.loaded)}/{self.size}" + (
            " (the rest: num_batches_tracked)" if counters_only else ""
        )


def match_module(detector: dict, checkpoint: dict, prefix: str) -> ModuleMatch:
    """Compare two state dicts on the keys that start with ``prefix``.

    Args:
        detector: The detector's state dict.
        checkpoint: The checkpoint's state dict.
        prefix: Of the keys to compare, e.g. ``backbone.``.

    Returns:
        Which keys load and which do not.
    """
    match = ModuleMatch(prefix)
    for key, value in detector.items():
        if not key.startswith(prefix):
            continue
        if key not in checkpoint:
            match.missing.append(key)
        elif checkpoint[key].shape != value.shape:
            match.other_shape[key] = (tuple(checkpoint[key].shape), tuple(value.shape))
        else:
            match.loaded.append(key)
    match.unused = [k for k in checkpoint if k.startswith(prefix) and k not in detector]
    return match


def checkpoint_tensors(checkpoint: dict) -> dict[str, torch.Tensor]:
    """The tensors that MMEngine will load from a checkpoint, under the keys it will use.

    Args:
        checkpoint: With a ``state_dict``, or a state dict itself. A leading ``module.``
            (of a DDP-wrapped model) is dropped, as ``Runner.load_checkpoint`` does.
    """
    state = checkpoint.get("state_dict", checkpoint)
    return {re.sub(r"^module\.", "", k): v for k, v in state.items() if torch.is_tensor(v)}


def copy_keys(state: dict, copies: dict[str, str]) -> None:
    """Let what starts with one prefix serve under another, where nothing is there yet.

    Args:
        state: The checkpoint's state dict, changed in place.
        copies: From prefix to prefix.
    """
    for source, target in copies.items():
        for key in [key for key in state if key.startswith(source)]:
            state.setdefault(target + key[len(source) :], state[key])


def rename_keys(state: dict, renames: dict[str, str]) -> None:
    """Move what starts with one prefix to another; what was there before gives way.

    Args:
        state: The checkpoint's state dict, changed in place.
        renames: From prefix to prefix, all at once: ``{"a.1.": "a.0.", "a.2.": "a.1."}``.
    """
    moved = {
        target + key[len(source) :]: value
        for source, target in renames.items()
        for key, value in state.items()
        if key.startswith(source)
    }
    touched = (*renames, *renames.values())
    for key in [key for key in state if key.startswith(touched)]:
        del state[key]
    state.update(moved)


def fits_as_it_is(detector: dict, checkpoint: dict, renames: dict[str, str]) -> bool:
    """Whether the keys that renaming would replace are there, all in the detector's shapes.

    So it is where the checkpoint's FPN starts at the same level as the detector's.
    """
    targets = tuple(renames.values())
    keys = [key for key in checkpoint if key.startswith(targets) and key in detector]
    return bool(keys) and all(checkpoint[key].shape == detector[key].shape for key in keys)


@HOOKS.register_module()
class LoadReportHook(Hook):
    """Say how much of each module comes from pre-training; fail rather than start from scratch.

    With ``load_from``, MMEngine drops every key that does not fit with a warning, so that a
    wrong checkpoint trains a detector from scratch. This hook logs one line such as
    ``backbone 318/318, neck 48/48, bbox_head trunk 26/26`` (parameters and buffers whose key
    and shape fit) and raises ``ValueError`` if a module gets nothing, if shapes differ, or if
    there is nothing to load from. What belongs to none of ``modules`` and ``optional`` is left
    out of a training, and named. Resumed runs are not checked.

    Args:
        modules: The modules that should come from pre-training: what to call them, and
            what their keys in the detector's state dict start with.
        optional: More of them, each taken if the checkpoint has the whole of it in the
            detector's shapes, and else left out with the reason; one that the detector does
            not have is passed over.
        allow_scratch: Whether a run without ``load_from`` may start.
        copies: Prefixes of the checkpoint's keys that also serve under another one, as the last
            stage of a backbone serves a C4 detector's shared head:
            ``{"backbone.layer4.": "roi_head.shared_head.layer4."}``.
        renames: Prefixes of the checkpoint's keys that serve under another one instead, as in
            an FPN that starts one level higher:
            ``{"neck.fpn_convs.1.": "neck.fpn_convs.0.", ...}``. Before ``copies``, and not of a
            checkpoint whose keys fit as they are (:func:`fits_as_it_is`).
    """

    def __init__(
        self,
        modules: dict[str, str],
        optional: dict[str, str] | None = None,
        allow_scratch: bool = False,
        copies: dict[str, str] | None = None,
        renames: dict[str, str] | None = None,
    ):
        self.modules = dict(modules)
        self.optional = dict(optional or {})
        self.copies = dict(copies or {})
        self.renames = dict(renames or {})
        self.allow_scratch = allow_scratch
        self._has_loaded = False

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Check the checkpoint, which MMEngine has read but not yet applied."""
        self._has_loaded = True
        if runner._resume:
            return
        # A detector that is tested comes as it was trained.
        training = isinstance(runner._train_loop, BaseLoop)
        tensors = checkpoint_tensors(checkpoint)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        detector = model.state_dict()
        if training:
            if not fits_as_it_is(detector, tensors, self.renames):
                rename_keys(tensors, self.renames)
            copy_keys(tensors, self.copies)
        file = runner._load_from or "the checkpoint"
        matches = _match_modules(detector, tensors, self.modules)
        taken, refused = {}, {}
        for name, match in _match_modules(detector, tensors, self.optional).items():
            if match.size:
                (refused if match.misfit else taken)[name] = match
        counts = ", ".join(f"{name} {match}" for name, match in {**matches, **taken}.items())
        runner.logger.info(f"Loading from {file}: {counts}")
        for name, match in matches.items():
            self._fail_if_unusable(name, match, file, tensors)
            self._warn_if_partial(name, match, file, runner.logger)
        for name, match in refused.items():
            runner.logger.info(f"Not loaded, so from scratch: {name}: {match.misfit}")
        if training:
            kept = {match.prefix for match in (*matches.values(), *taken.values())}
            known = (*kept, *self.optional.values())
            unasked = [k for k in tensors if k in detector and not k.startswith(known)]
            if unasked:
                parts = Counter(key.split(".")[0] for key in unasked)
                listed = ", ".join(f"{part} ({count} keys)" for part, count in parts.items())
                runner.logger.info(f"Left out, being none of the hook's modules: {listed}")
            _keep_only(checkpoint, tensors, tuple(kept))

    def before_train(self, runner) -> None:
        """Refuse to train from scratch unless that is what the config asks for."""
        if self._has_loaded or self.allow_scratch:
            return
        found = "no checkpoint to resume in work_dir" if runner._resume else "load_from is not set"
        raise ValueError(
            f"{found}, so {', '.join(self.modules)} would be trained from scratch. Give the "
            "pre-training checkpoint with `--cfg-options load_from=FILE` (without --resume the "
            "first time), or set allow_scratch=True of LoadReportHook in custom_hooks."
        )

    @staticmethod
    def _fail_if_unusable(name: str, match: ModuleMatch, file: str, tensors: dict) -> None:
        if match.other_shape:
            shapes = "; ".join(
                f"'{key}' is {theirs} in the checkpoint and {ours} in the detector"
                for key, (theirs, ours) in list(match.other_shape.items())[:3]
            )
            raise ValueError(
                f"{file}: {len(match.other_shape)} shapes of the {name} differ: {shapes}. It was "
                "made with another architecture: pre-train with the detector's depth, channels "
                "and norm layers, or change those of the detector."
            )
        if not match.missing:
            if match.loaded:
                return
            raise ValueError(
                f"The detector has no parameters that start with '{match.prefix}'. Correct "
                f"modules['{name}'] of LoadReportHook in custom_hooks."
            )
        if not match.loaded:
            raise ValueError(
                f"{file} has nothing for the {name}: the detector needs {_some(match.missing)}; "
                f"the checkpoint has {_some(list(tensors))}. Load a checkpoint of a pre-training "
                f"that has this module, or drop '{name}' from modules of LoadReportHook in "
                "custom_hooks if it should start from scratch."
            )

    @staticmethod
    def _warn_if_partial(name: str, match: ModuleMatch, file: str, logger) -> None:
        if match.missing_weights:
            logger.warning(
                f"{file} lacks {len(match.missing_weights)} keys of the {name}, which keep their "
                f"initial values: {', '.join(match.missing_weights)}"
            )
        if match.unused:
            logger.warning(
                f"{file} has {len(match.unused)} keys that the detector's {name} has no place "
                f"for ({_some(match.unused)}). Is it of another depth?"
            )


def _match_modules(detector: dict, tensors: dict, modules: dict[str, str]) -> dict:
    return {name: match_module(detector, tensors, prefix) for name, prefix in modules.items()}


def _keep_only(checkpoint: dict, tensors: dict, prefixes: tuple[str, ...]) -> None:
    """Leave in the checkpoint, in place, those of ``tensors`` that start with a prefix."""
    state = checkpoint.get("state_dict", checkpoint)
    state.clear()
    state.update((key, value) for key, value in tensors.items() if key.startswith(prefixes))


def _some(keys: list[str], limit: int = 3) -> str:
    if not keys:
        return "no tensors"
    return ", ".join(f"'{key}'" for key in keys[:limit]) + (", ..." if len(keys) > limit else "")
