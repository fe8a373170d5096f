"""Convert region files from and to the JSON formats of other projects."""

import argparse
import json
import sys

from mmregioncon.regions import RegionStore, export_coco, import_coco, import_soco
from mmregioncon.regions.atomic import atomic_path

EXAMPLES = """examples:
  python tools/analysis_tools/convert_regions.py from-coco boxes.json regions.arrow --img-root imgs
  python tools/analysis_tools/convert_regions.py from-soco train_ratio3size0308post.json \\
      regions.arrow --img-root data/imagenet/train
  python tools/analysis_tools/convert_regions.py to-coco regions.arrow boxes.json
"""


def parse_args(argv=None):
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("direction", choices=("from-coco", "from-soco", "to-coco"))
    parser.add_argument("source", help="JSON, or a region file for to-coco")
    parser.add_argument("out", help="region file, or a JSON for to-coco; replaced if it exists")
    parser.add_argument("--img-root", help="folder of the images (default: the JSON's own)")
    parser.add_argument(
        "--images-from", help="from-coco, for a list of detections: COCO JSON with its images"
    )
    parser.add_argument("--json", metavar="FILE", help="write the summary to this file")
    args = parser.parse_args(argv)
    if args.direction == "from-soco" and not args.img_root:
        parser.error("from-soco needs --img-root: SoCo's JSON has names only")
    return args


def convert(args):
    """Do what the arguments say; returns the summary."""
    if args.direction == "from-coco":
        return import_coco(args.source, args.out, args.img_root, args.images_from)
    if args.direction == "from-soco":
        return import_soco(args.source, args.img_root, args.out)
    return export_coco(RegionStore(args.source), args.out)


def main(argv=None):
    """Run the tool; returns the exit code."""
    args = parse_args(argv)
    try:
        summary = convert(args)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    failures = summary.get("failures", [])
    counts = {key: value for key, value in summary.items() if key != "failures"}
    print(f"{args.out}: " + ", ".join(f"{key} {value}" for key, value in counts.items()))
    if failures:
        print(f"{len(failures)} entries left out, e.g.")
        for name, reason in failures[:5]:
            print(f"  {name}: {reason}")
    if args.json:
        with atomic_path(args.json) as temporary:
            temporary.write_text(json.dumps(summary, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
