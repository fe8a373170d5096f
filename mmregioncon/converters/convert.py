"""Checkpoints of other projects to ours, and ours to theirs."""

import re
from dataclasses import dataclass, field

import torch

from .files import CheckpointError
from .modules import expected_state, infer_modules
from .naming import SOURCES, TARGETS, Source, to_ours, to_theirs

COUNTER = "num_batches_tracked"


@dataclass
class Conversion:
    """A checkpoint with our names, and how it came about.

    Attributes:
        source: The format it was read as.
        state: Tensors by our names.
        modules: Arguments of :class:`DetectorModules` that fit.
        dropped: How many keys were left out as known and not for a detector, by what they are.
        unknown: Keys of the file that no rule knows, or for which the modules have no place.
        missing: Keys of the modules that the file lacks.
        filled: How many of BN's batch counters were added.
    """

    source: Source
    state: dict[str, torch.Tensor]
    modules: dict[str, dict] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    filled: int = 0

    def __str__(self) -> str:
        parts = [f"ResNet-{self.modules['backbone']['depth']}"]
        if "neck" in self.modules:
            parts.append(f"FPN of {self.modules['neck']['out_channels']} channels")
        if "bbox_head" in self.modules:
            head = self.modules["bbox_head"]
            parts.append(f"box head {head['num_shared_convs']}conv{head['num_shared_fcs']}fc")
        lines = [f"{self.source.title}: {', '.join(parts)}; {len(self.state)} tensors"]
        lines += [f"  dropped, {what}: {count}" for what, count in self.dropped.items()]
        lines += [f"  added {COUNTER}: {self.filled}"] if self.filled else []
        lines += [f"  left out, unknown: {key}" for key in self.unknown]
        lines += [f"  missing: {key}" for key in self.missing]
        return "\n".join(lines)


def detect_source(keys, path) -> str:
    """Name in ``SOURCES`` of the format that has such keys.

    Args:
        keys: names in the file, without a leading ``module.``.
        path: the file, for the message.

    Raises:
        CheckpointError: they are of no known format.
    """
    keys = list(keys)
    for name, source in SOURCES.items():
        if all(any(re.fullmatch(mark, key) for key in keys) for mark in source.marks):
            return name
    raise CheckpointError(
        f"{path}: of no known format; its first keys are {', '.join(sorted(keys)[:5])}. Name one "
        f"with --source: {', '.join(SOURCES)}."
    )


def to_detector(
    tensors: dict[str, torch.Tensor], path, source: str | None = None, allow_partial: bool = False
) -> Conversion:
    """Rename a checkpoint to mmdet's names and check it against the modules it is of.

    Args:
        tensors: what :func:`~mmregioncon.converters.find_tensors` returns.
        path: the file, for the messages.
        source: name in ``SOURCES``; detected if None.
        allow_partial: leave unknown keys out and accept missing ones instead of stopping.

    Raises:
        CheckpointError: unknown or missing keys, other shapes, or two keys with one meaning.
    """
    source = SOURCES[source or detect_source(tensors, path)]
    result, origin = _rename(tensors, source, path)
    try:
        result.modules = infer_modules(result.state, source.modules)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    expected = expected_state(result.modules)
    for key in [key for key in result.state if key not in expected]:
        result.unknown.append(origin[key])
        del result.state[key]
    _check_shapes(result.state, expected, origin, path)
    _fill_counters(result, expected)
    result.missing = [key for key in expected if key not in result.state]
    if (result.unknown or result.missing) and not allow_partial:
        raise _incomplete(result, path)
    if not result.state:
        raise CheckpointError(f"{path}: nothing in it is of a detector ({source.title})")
    return result


def _rename(tensors, source, path):
    """State with our names, unchecked, and where each name comes from."""
    result, origin = Conversion(source, {}), {}
    for key, value in tensors.items():
        name = to_ours(key, source.rules)
        if name in origin:
            raise CheckpointError(f"{path}: {origin[name]} and {key} are both {name}")
        if name is not None:
            result.state[name], origin[name] = value, key
            continue
        what = next((what for what, drop in source.drops if re.fullmatch(drop, key)), None)
        if what is None:
            result.unknown.append(key)
        else:
            result.dropped[what] = result.dropped.get(what, 0) + 1
    return result, origin


def _check_shapes(state, expected, origin, path):
    wrong = [
        f"  {origin[key]}: {tuple(value.shape)}, expected {tuple(expected[key].shape)}"
        for key, value in state.items()
        if value.shape != expected[key].shape
    ]
    if wrong:
        raise CheckpointError(f"{path}: {len(wrong)} shapes differ\n" + "\n".join(wrong))


def _fill_counters(result, expected):
    """Add BN's batch counters, which some formats leave out, for each BN that is there."""
    for key in expected:
        layer, _, name = key.rpartition(".")
        if name == COUNTER and key not in result.state and f"{layer}.weight" in result.state:
            result.state[key] = torch.tensor(0)
            result.filled += 1


def _incomplete(result, path):
    lines = [f"  unknown: {key}" for key in result.unknown]
    lines += [f"  missing: {key}" for key in result.missing]
    return CheckpointError(
        f"{path} ({result.source.title}): {len(result.unknown)} unknown keys and "
        f"{len(result.missing)} missing ones\n" + "\n".join(lines) + "\nIf the format is another "
        "one, name it with --source. --allow-partial goes on without these keys."
    )


def from_detector(conversion: Conversion, target: str, path) -> tuple[dict, dict[str, int]]:
    """Rename a checkpoint with our names to those of ``target``.

    Args:
        conversion: what :func:`to_detector` returns.
        target: name in ``TARGETS``.
        path: the file it came from, for the message.

    Returns:
        Tensors by their names, and how many are left out, by module.

    Raises:
        CheckpointError: the checkpoint lacks a module of the target.
    """
    modules = TARGETS[target].modules
    for module in modules or ():
        if not any(key.startswith(f"{module}.") for key in conversion.state):
            raise CheckpointError(f"{path}: has no {module}, which {target} needs")
    named, left_out = {}, {}
    for key, value in conversion.state.items():
        module = "roi_head.bbox_head" if key.startswith("roi_head.") else key.split(".")[0]
        if modules and module not in modules:
            left_out[module] = left_out.get(module, 0) + 1
        elif TARGETS[target].counters or not key.endswith(COUNTER):
            named[to_theirs(key, TARGETS[target].rules)] = value
    return named, left_out
