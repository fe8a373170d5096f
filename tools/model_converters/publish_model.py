"""Cut a pre-training checkpoint down to what a detector loads, for publishing.

Keeps backbone, neck and RoI head; leaves out optimizer, teacher, queues, projectors and predictors.
Adds the method, config, data, epochs and git commit, and puts eight digits of the file's SHA-256
into its name.
"""

import argparse
import json
import sys

from mmregioncon.converters import CheckpointError, write_file
from mmregioncon.converters.publish import publish

EXAMPLES = """examples:
  python tools/model_converters/publish_model.py work_dirs/soco/epoch_100.pth \\
      configs/soco/soco_r50-fpn_8xb256-amp-coslr-100e_in1k.py published --data ImageNet-1k
  # half the size: weights as float16, which mmdet loads as they are
  python tools/model_converters/publish_model.py work_dirs/quickstart/pretrain/epoch_7.pth \\
      configs/demo/soco_r18-fpn_demo.py published --half
"""


def parse_args(argv=None):
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", help="of a pre-training, as MMEngine saved it")
    parser.add_argument("config", help="its config; the one in the work dir if options changed it")
    parser.add_argument("out_dir", help="folder of the published file")
    parser.add_argument("--data", help="what it was trained on (default: the region file's name)")
    parser.add_argument("--half", action="store_true", help="weights as float16")
    parser.add_argument("--safetensors", action="store_true", help="a .safetensors file")
    parser.add_argument("--json", metavar="FILE", help="write the meta data to this file")
    return parser.parse_args(argv)


def main(argv=None):
    """Run the tool; returns the exit code."""
    args = parse_args(argv)
    suffix = ".safetensors" if args.safetensors else ".pth"
    try:
        file, meta = publish(
            args.checkpoint, args.config, args.out_dir, args.data, args.half, suffix
        )
        size = file.stat().st_size
        if args.json:
            report = dict(file=str(file), bytes=size, **meta)
            write_file(args.json, f"{json.dumps(report, indent=2)}\n".encode())
    except (CheckpointError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{file}: {size / 1e6:.2f} MB")
    for key, value in meta.items():
        print(f"  {key}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
