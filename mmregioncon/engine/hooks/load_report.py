"""Reports what a detector gets from a pre-training checkpoint, and fails when it gets nothing."""

import re
from dataclasses import dataclass, field

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

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
    def missing_weights(self) -> list[str]:
        """Missing keys that matter: BN's batch counters are not used by a detector's BN."""
        return [key for key in self.missing if not key.endswith("num_batches_tracked")]

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.missing) + len(self.other_shape)
        counters_only = self.missing and not self.missing_weights
        return f"{len(self.loaded)}/{total}" + (
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


@HOOKS.register_module()
class LoadReportHook(Hook):
    """Say how much of each module comes from pre-training; fail rather than start from scratch.

    With ``load_from``, MMEngine drops every key that does not fit with a warning, so that a
    wrong checkpoint trains a detector from scratch. This hook logs one line such as
    ``backbone 318/318, neck 48/48, bbox_head trunk 26/26`` (parameters and buffers whose key
    and shape fit) and raises ``ValueError`` if a module gets nothing, if shapes differ, or if
    there is nothing to load from. Resumed runs are not checked.

    Args:
        modules: The modules that should come from pre-training: what to call them, and
            what their keys in the detector's state dict start with.
        allow_scratch: Whether a run without ``load_from`` may start.
        copies: Prefixes of the checkpoint's keys that also serve under another one, as the last
            stage of a backbone serves a C4 detector's shared head:
            ``{"backbone.layer4.": "roi_head.shared_head.layer4."}``.
    """

    def __init__(
        self,
        modules: dict[str, str],
        allow_scratch: bool = False,
        copies: dict[str, str] | None = None,
    ):
        self.modules = dict(modules)
        self.copies = dict(copies or {})
        self.allow_scratch = allow_scratch
        self._has_loaded = False

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Check the checkpoint, which MMEngine has read but not yet applied."""
        self._has_loaded = True
        if runner._resume:
            return
        copy_keys(checkpoint.get("state_dict", checkpoint), self.copies)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        detector, tensors = model.state_dict(), checkpoint_tensors(checkpoint)
        matches = {
            name: match_module(detector, tensors, prefix) for name, prefix in self.modules.items()
        }
        file = runner._load_from or "the checkpoint"
        counts = ", ".join(f"{name} {match}" for name, match in matches.items())
        runner.logger.info(f"Loading from {file}: {counts}")
        for name, match in matches.items():
            self._fail_if_unusable(name, match, file, tensors)
            self._warn_if_partial(name, match, file, runner.logger)

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


def _some(keys: list[str], limit: int = 3) -> str:
    if not keys:
        return "no tensors"
    return ", ".join(f"'{key}'" for key in keys[:limit]) + (", ..." if len(keys) > limit else "")
