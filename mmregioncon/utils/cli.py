"""What ``tools/train.py`` and ``tools/test.py`` share: arguments, config, runner."""

import argparse
import os
import sys
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from .config_check import ConfigError, check_options, check_top_level, explain_build_errors
from .setup_env import prepare_cpu_ddp


def base_parser(description):
    """Return a parser with the arguments of both tools."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("config", help="config file")
    parser.add_argument(
        "--work-dir", help="where logs and checkpoints go; default: work_dirs/<config's name>"
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        default={},
        help="override settings of the config: key.path=value; lists as key=[a,b] or key=a,b; "
        "quotes around lists of tuples; no white space",
    )
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none")
    # torchrun sets LOCAL_RANK itself; other launchers pass it as an argument.
    parser.add_argument("--local-rank", "--local_rank", default="0", help=argparse.SUPPRESS)
    return parser


def load_config(args):
    """Return the config of ``args`` with all common options applied and typos refused."""
    os.environ.setdefault("LOCAL_RANK", args.local_rank)
    if not Path(args.config).is_file():
        raise ConfigError(f"{args.config}: no such config file. Look under configs/.")
    cfg = Config.fromfile(args.config)
    check_top_level(cfg)
    check_options(cfg, args.cfg_options)
    cfg.merge_from_dict(args.cfg_options)
    cfg.launcher = args.launcher
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif cfg.get("work_dir") is None:
        cfg.work_dir = str(Path("work_dirs", Path(args.config).stem))
    prepare_cpu_ddp(cfg)
    return cfg


def build_runner(cfg):
    """Return the runner that the config asks for, MMEngine's own by default."""
    return RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)


def run(cfg, action):
    """Build the runner and call ``action(runner)``; wrong keys become ConfigErrors."""
    with explain_build_errors(cfg):
        action(build_runner(cfg))


@contextmanager
def plain_config_errors():
    """End the program on a ConfigError with its message alone: no traceback helps there."""
    try:
        yield
    except ConfigError as error:
        sys.exit(f"error: {error}")
