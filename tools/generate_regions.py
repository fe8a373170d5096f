"""Propose regions for unlabelled images and write a region file.

The images come from a folder (searched recursively; an ImageNet tree is one) or from a COCO
JSON. A killed run is resumed by the same command. The file's bytes do not depend on the number
of workers, nor on interruptions.
"""

import argparse
import json
import sys
from pathlib import Path

from mmengine.config import DictAction

from mmregioncon.regions.atomic import atomic_path
from mmregioncon.regions.filters import FILTERS
from mmregioncon.regions.generate import PROPOSERS, generate_regions
from mmregioncon.regions.images import list_images

EXAMPLES = """examples:
  # SoCo's regions for a folder of photographs
  python tools/generate_regions.py ~/photos --out data/photos.arrow
  # CCOP's regions for COCO
  python tools/generate_regions.py data/coco/annotations/instances_train2017.json \\
      --img-root data/coco/train2017 --out data/coco_ccop.arrow --filter ccop
  # a detector's boxes above nothing in particular, as they are
  python tools/generate_regions.py data/coco/annotations/instances_train2017.json \\
      --img-root data/coco/train2017 --proposer coco --boxes detections.bbox.json \\
      --filter none --filter-args top=100 --out data/coco_detector.arrow
  # small images: smaller boxes, larger initial segments
  python tools/generate_regions.py small/ --out small.arrow \\
      --filter-args min_side=16 --proposer-args base_k=200
"""


def parse_args(argv=None):
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", help="folder of images, or a COCO JSON that lists them")
    parser.add_argument("--img-root", help="folder of a JSON's images (default: the JSON's own)")
    parser.add_argument("--out", required=True, help="region file to write (.arrow)")
    parser.add_argument("--proposer", choices=PROPOSERS, default="selective_search")
    parser.add_argument(
        "--proposer-args", nargs="+", action=DictAction, default={}, metavar="KEY=VALUE"
    )
    parser.add_argument(
        "--boxes", help="with --proposer coco: JSON of the boxes (default: the input JSON)"
    )
    parser.add_argument("--filter", choices=FILTERS, default="soco", help="default: soco")
    parser.add_argument(
        "--filter-args", nargs="+", action=DictAction, default={}, metavar="KEY=VALUE"
    )
    parser.add_argument("--workers", type=int, help="processes (default: all usable cores)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing --out")
    parser.add_argument("--json", metavar="FILE", help="write the summary to this file")
    args = parser.parse_args(argv)
    if args.workers is not None and args.workers < 1:
        parser.error("--workers must be at least 1")
    return args


def proposer_config(args):
    """Config of the chosen proposer.

    Raises:
        ValueError: ``--boxes`` is missing or has no use.
    """
    cfg = dict(PROPOSERS[args.proposer], **args.proposer_args)
    if args.proposer != "coco":
        if args.boxes:
            raise ValueError("--boxes goes with --proposer coco")
        return cfg
    source_is_json = Path(args.images).is_file()
    if not args.boxes and not source_is_json:
        raise ValueError(f"--proposer coco needs --boxes BOXES.json, as {args.images} is no JSON")
    cfg.update(ann_file=args.boxes or args.images)
    if args.boxes and source_is_json:
        cfg.update(images_from=args.images)
    return cfg


def print_summary(summary, args):
    """Print what was done and what was left out."""
    print(
        f"{args.out}: {summary['images']} images, {summary['boxes']} boxes "
        f"({summary['boxes_per_image']:.1f} an image, {summary['boxes_per_image_min']} to "
        f"{summary['boxes_per_image_max']}); {summary['images_without_boxes']} images without "
        f"boxes; {summary['seconds']:.1f} s, {summary['images_per_s']:.1f} images/s"
    )
    failures = summary["failures"]
    if failures:
        print(f"{len(failures)} images left out, listed in {args.out}.failures.txt, e.g.")
        for path, reason in failures[:5]:
            print(f"  {path}: {reason}")


def main(argv=None):
    """Run the tool; returns the exit code."""
    args = parse_args(argv)
    try:
        summary = generate_regions(
            list_images(args.images, args.img_root),
            args.out,
            proposer_config(args),
            dict(type=args.filter, **args.filter_args),
            workers=args.workers,
            overwrite=args.overwrite,
        )
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nstopped; the same command resumes ({args.out}.parts)", file=sys.stderr)
        return 130
    print_summary(summary, args)
    if args.json:
        with atomic_path(args.json) as temporary:
            temporary.write_text(json.dumps(summary, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
