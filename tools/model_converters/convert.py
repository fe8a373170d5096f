"""Convert a checkpoint to one that mmdet's load_from takes, or from that to other projects.

From SoCo, PLRC, DetCo, CCOP, MoCo v2, DenseCL, torchvision, timm and detectron2; to the last three.

The format of IN is found from its keys. What pre-training alone needs (momentum copies,
projectors, queues) is dropped. Unknown and missing keys are listed, and nothing is written.
Files are read without running what is in them.
"""

import argparse
import json
import sys
from pathlib import Path

from mmregioncon.converters import (
    SOURCES,
    TARGETS,
    CheckpointError,
    encode_checkpoint,
    find_tensors,
    from_detector,
    read_checkpoint,
    to_detector,
    write_file,
)

EXAMPLES = """examples:
  # SoCo's own checkpoint, for mmdet
  python tools/model_converters/convert.py ckpt_epoch_400.pth soco.pth
  # DetCo's for a C4 detector of mmdet: layer4 under roi_head.shared_head
  python tools/model_converters/convert.py detco_200ep.pkl detco_c4.pth --target mmregioncon-c4
  # a checkpoint of ours for detectron2's Mask R-CNN, with FPN and box head
  python tools/model_converters/convert.py work_dirs/soco/epoch_100.pth soco_d2.pkl \\
      --target detectron2-head
  # for timm, as safetensors
  python tools/model_converters/convert.py epoch_100.pth resnet50.safetensors --target timm
"""


def parse_args(argv=None):
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", metavar="IN", help=".pth, .pkl or .safetensors")
    parser.add_argument("out", metavar="OUT", help=".pth, .pkl or .safetensors; replaced if there")
    parser.add_argument("--source", choices=SOURCES, help="format of IN (default: from its keys)")
    parser.add_argument(
        "--target", choices=TARGETS, default="mmregioncon", help="names in OUT (default: ours)"
    )
    parser.add_argument(
        "--allow-partial", action="store_true", help="go on with unknown and missing keys"
    )
    parser.add_argument("--json", metavar="FILE", help="write the report to this file")
    args = parser.parse_args(argv)
    suffixes = TARGETS[args.target].suffixes
    if Path(args.out).suffix not in suffixes:
        parser.error(f"{args.out}: {args.target} is written to {' or '.join(suffixes)}")
    return args


def convert(args):
    """Convert, print the report and return it as a dict."""
    tensors = find_tensors(read_checkpoint(args.checkpoint), args.checkpoint)
    found = to_detector(tensors, args.checkpoint, args.source, args.allow_partial)
    print(found)
    state, left_out = from_detector(found, args.target, args.checkpoint)
    meta = dict(converted_from=Path(args.checkpoint).name, format=found.source.title)
    data = encode_checkpoint(state, meta, Path(args.out).suffix, TARGETS[args.target].flat)
    digest = write_file(args.out, data)
    if left_out:
        print("not in this format: " + ", ".join(f"{k} ({n})" for k, n in left_out.items()))
    print(f"{args.out}: {len(state)} tensors, {len(data) / 1e6:.1f} MB, sha256 {digest[:8]}")
    return dict(
        source=found.source.title,
        target=args.target,
        tensors=len(state),
        dropped=found.dropped,
        left_out=left_out,
        unknown=found.unknown,
        missing=found.missing,
        filled=found.filled,
        sha256=digest,
    )


def main(argv=None):
    """Run the tool; returns the exit code."""
    args = parse_args(argv)
    try:
        report = convert(args)
        if args.json:
            write_file(args.json, f"{json.dumps(report, indent=2)}\n".encode())
    except (CheckpointError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
