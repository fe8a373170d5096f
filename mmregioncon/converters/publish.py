"""A training checkpoint cut down to what a detector loads, with what one should know of it."""

import subprocess
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmregioncon.registry import MODELS
from mmregioncon.utils import register_all_modules
from mmregioncon.version import __version__

from .files import CheckpointError, encode_checkpoint, find_tensors, read_checkpoint, write_file

ROOT = Path(__file__).resolve().parents[2]
DETECTOR_PARTS = ("backbone.", "neck.", "roi_head.")


def publish(
    checkpoint, config, out_dir, data: str | None = None, half: bool = False, suffix: str = ".pth"
) -> tuple[Path, dict]:
    """Write ``OUT_DIR/<config's name>-<first 8 digits of the SHA-256><suffix>``.

    Args:
        checkpoint: of a pre-training by MMEngine's runner.
        config: its config file.
        out_dir: folder of the published file.
        data: what it was trained on; the config's region file if None.
        half: store weights of two and more dimensions as float16. ``load_from`` needs no
            conversion: they are copied into the detector's float32 ones.
        suffix: ``.pth`` or ``.safetensors``.

    Returns:
        The file and the meta data in it.

    Raises:
        CheckpointError: the checkpoint is not of this config, or has values that are not finite or,
            with ``half``, too large for it.
    """
    content = read_checkpoint(checkpoint)
    cfg = Config.fromfile(config)
    state = detector_part(find_tensors(content, checkpoint))
    _check_fits(state, cfg, checkpoint)
    _check_finite(state, f"{checkpoint}: {{}} has values that are not finite")
    if half:
        state = {key: _half(value) for key, value in state.items()}
        _check_finite(state, f"{checkpoint}: {{}} is beyond float16: publish it without --half")
    meta = _describe(cfg, content.get("meta", {}), data, half)
    encoded = encode_checkpoint(state, meta, suffix)
    partial = Path(out_dir, f"{Path(config).stem}{suffix}")
    digest = write_file(partial, encoded)
    return partial.replace(partial.with_stem(f"{partial.stem}-{digest[:8]}")), meta


def detector_part(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors that a detector has a place for: no teacher, projector, predictor, queue.

    mmpretrain's methods (those with an ``encoder_k``) call their projector ``neck``.
    """
    own_neck = any(key.startswith("encoder_k.") for key in state)
    parts = [part for part in DETECTOR_PARTS if not (own_neck and part == "neck.")]
    return {key: value for key, value in state.items() if key.startswith(tuple(parts))}


def _check_fits(state, cfg, file):
    register_all_modules(init_default_scope=False)
    with torch.device("meta"), DefaultScope.overwrite_default_scope("mmregioncon"):
        expected = detector_part(MODELS.build(cfg.model).state_dict())
    wrong = [key for key in expected if key not in state] + [
        key for key in state if key not in expected or state[key].shape != expected[key].shape
    ]
    if wrong:
        raise CheckpointError(
            f"{file}: not a checkpoint of {cfg.filename}: {len(wrong)} keys are missing, unknown "
            f"or of another shape ({', '.join(wrong[:3])}). Give the config that is beside it in "
            "the work directory."
        )


def _half(value):
    return value.half() if value.is_floating_point() and value.dim() > 1 else value


def _check_finite(state, message):
    for key, value in state.items():
        if not torch.isfinite(value).all():
            raise CheckpointError(message.format(key))


def _describe(cfg, trained, data, half):
    dataset = cfg.train_dataloader.dataset
    return dict(
        method=cfg.model.type.split(".")[-1],
        config=Path(cfg.filename).name,
        data=data or dataset.get("region_file") or dataset.get("data_root") or "unknown",
        epochs=trained.get("epoch", 0),
        iterations=trained.get("iter", 0),
        precision="float16" if half else "float32",
        git_commit=_git_commit(),
        mmregioncon=__version__,
    )


def _git_commit():
    """Commit of this source tree, with ``-dirty`` if it was changed; ``unknown`` outside git."""
    if not (ROOT / ".git").exists():  # installed, perhaps within another repository
        return "unknown"
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
