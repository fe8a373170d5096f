"""Evaluate a checkpoint with a config's test dataloader and evaluator."""

from pathlib import Path

from mmregioncon.utils.cli import base_parser, load_config, plain_config_errors, run
from mmregioncon.utils.config_check import ConfigError


def parse_args():
    parser = base_parser(__doc__)
    parser.add_argument("checkpoint", help="checkpoint file or URL")
    return parser.parse_args()


def main():
    args = parse_args()
    with plain_config_errors():
        if "://" not in args.checkpoint and not Path(args.checkpoint).is_file():
            raise ConfigError(f"{args.checkpoint}: no such checkpoint.")
        cfg = load_config(args)
        if cfg.get("test_dataloader") is None:
            raise ConfigError(f"{args.config}: test_dataloader is not set: nothing to evaluate.")
        cfg.load_from = args.checkpoint
        run(cfg, lambda runner: runner.test())


if __name__ == "__main__":
    main()
