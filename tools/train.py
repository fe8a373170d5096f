"""Train a config: pre-training with MMRegionCon, or fine-tuning with mmdet."""

import os
from pathlib import Path

from mmregioncon.utils.cli import base_parser, load_config, plain_config_errors, run
from mmregioncon.utils.config_check import ConfigError, check_parts, check_queues


def parse_args():
    parser = base_parser(__doc__)
    parser.add_argument("--amp", action="store_true", help="automatic mixed precision")
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="scale the learning rate from auto_scale_lr.base_batch_size to the actual batch",
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="resume from CHECKPOINT, or from the newest one of the work dir",
    )
    return parser.parse_args()


def apply_resume(cfg, resume):
    """Set ``resume`` and ``load_from`` for ``--resume [auto|path]``."""
    if resume is None:
        return
    if resume != "auto" and "://" not in resume and not Path(resume).is_file():
        raise ConfigError(f"--resume {resume}: no such file. Without a path, the newest is taken.")
    if resume == "auto":
        check_last_checkpoint(Path(cfg.work_dir))
    cfg.resume = True
    cfg.load_from = None if resume == "auto" else resume


def check_last_checkpoint(work_dir):
    """Refuse a ``last_checkpoint`` that names no file: a run was killed while it wrote that."""
    marker = work_dir / "last_checkpoint"
    last = marker.read_text().strip() if marker.is_file() else None
    if last is None or "://" in last or Path(last).is_file():
        return
    found = sorted(work_dir.glob("*.pth"), key=lambda file: file.stat().st_mtime)
    there = f"the newest here is {found[-1]}" if found else f"there is none in {work_dir}"
    raise ConfigError(
        f"{marker}: names '{last}', which is no file; pass a checkpoint: --resume FILE ({there})"
    )


def apply_amp(cfg):
    """Make the optimizer wrapper an AMP one, keeping what the config says of it."""
    kind = cfg.optim_wrapper.get("type", "OptimWrapper")
    if kind not in ("OptimWrapper", "AmpOptimWrapper"):
        raise ConfigError(f"{cfg.filename}: --amp replaces OptimWrapper, not optim_wrapper={kind}")
    cfg.optim_wrapper.type = "AmpOptimWrapper"
    cfg.optim_wrapper.setdefault("loss_scale", "dynamic")


def apply_auto_scale_lr(cfg):
    """Enable MMEngine's scaling of the learning rate with the batch size."""
    if "base_batch_size" not in cfg.get("auto_scale_lr", {}):
        raise ConfigError(
            f"{cfg.filename}: --auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...)"
        )
    cfg.auto_scale_lr.enable = True


def world_size(launcher):
    """How many ranks will train."""
    variable = dict(pytorch="WORLD_SIZE", slurm="SLURM_NTASKS", mpi="OMPI_COMM_WORLD_SIZE")
    return int(os.environ.get(variable.get(launcher, ""), 1))


def main():
    args = parse_args()
    with plain_config_errors():
        cfg = load_config(args)
        apply_resume(cfg, args.resume)
        if args.amp:
            apply_amp(cfg)
        if args.auto_scale_lr:
            apply_auto_scale_lr(cfg)
        check_parts(cfg)
        check_queues(cfg, world_size(args.launcher))
        run(cfg, lambda runner: runner.train())


if __name__ == "__main__":
    main()
