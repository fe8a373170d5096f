"""Propose regions for unlabelled images and write a region file.

The images come from a folder (searched recursively; an ImageNet tree is one) or from a COCO
JSON. A killed run is resumed by the same command. Under torchrun or srun each rank does its shard
of the images; --merge joins them. The file's bytes do not depend on the number of workers and
ranks, nor on interruptions.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from mmengine.config import DictAction

from mmregioncon.regions.atomic import atomic_path
from mmregioncon.regions.filters import FILTERS
from mmregioncon.regions.generate import PROPOSERS, generate_regions, merge_shards, shard_path
from mmregioncon.regions.images import list_images
from mmregioncon.regions.workers import usable_cores

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
  # as the papers have it: OpenCV's selective search
  python tools/generate_regions.py data/imagenet/train --out data/in1k.arrow \\
      --proposer selective_search
  # small images: smaller boxes, larger initial segments
  python tools/generate_regions.py small/ --out small.arrow \\
      --filter-args min_side=16 --proposer-args scales=100
  # PLRC: a label map of each image too
  python tools/generate_regions.py ~/photos --out data/photos.arrow --segments
  # eight processes with a shard each (also: srun -n 8 -c 16 python ..., or --shard 0/8 to 7/8)
  torchrun --nproc-per-node 8 tools/generate_regions.py data/imagenet/train --out data/in1k.arrow
  python tools/generate_regions.py --merge --out data/in1k.arrow
"""


def parse_args(argv=None):
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "images", nargs="?", help="folder of images, or a COCO JSON that lists them"
    )
    parser.add_argument("--img-root", help="folder of a JSON's images (default: the JSON's own)")
    parser.add_argument("--out", required=True, help="region file to write (.arrow)")
    parser.add_argument(
        "--proposer", choices=PROPOSERS, default="fast_search", help="default: fast_search"
    )
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
    parser.add_argument(
        "--segments", action="store_true", help="keep a label map of each image (for PLRC)"
    )
    parser.add_argument(
        "--segments-args", nargs="+", action=DictAction, default={}, metavar="KEY=VALUE"
    )
    parser.add_argument(
        "--shard",
        type=_shard,
        metavar="I/N",
        help="do the I-th (from 0) of N shares of the images (default: as torchrun or srun says)",
    )
    parser.add_argument("--merge", action="store_true", help="join the shards of --out")
    parser.add_argument(
        "--workers", type=int, help="processes (default: this rank's share of the usable cores)"
    )
    parser.add_argument(
        "--max-failures",
        type=int,
        default=1000,
        metavar="N",
        help="stop when more images than that (of a shard) cannot be read (default: 1000)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing --out")
    parser.add_argument("--json", metavar="FILE", help="write the summary to this file")
    args = parser.parse_args(argv)
    if args.workers is not None and args.workers < 1:
        parser.error("--workers must be at least 1")
    if args.merge == bool(args.images):
        parser.error("give the images, or --merge, which takes what it needs from the shards")
    if args.segments_args and not args.segments:
        parser.error("--segments-args goes with --segments")
    args.shard = args.shard or ((0, 1) if args.merge else rank(os.environ))
    return args


def _shard(text):
    index, count = map(int, text.split("/"))  # argparse reports a ValueError
    return index, count


def rank(env):
    """``(index, count)`` of this process among those that torchrun or srun started."""
    for index, count in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")):
        if index in env and count in env:
            return int(env[index]), int(env[count])
    return 0, 1


def default_workers(env):
    """This rank's share of the cores of its machine."""
    if "LOCAL_WORLD_SIZE" in env:  # torchrun; srun binds a task to its cores if it has been told
        return max(1, usable_cores() // int(env["LOCAL_WORLD_SIZE"]))
    if "SLURM_CPUS_PER_TASK" in env:
        return min(usable_cores(), int(env["SLURM_CPUS_PER_TASK"]))
    return max(1, usable_cores() // int(env.get("SLURM_NTASKS_PER_NODE", 1)))


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


def print_summary(summary, out):
    """Print what was done and what was left out."""
    print(
        f"{out}: {summary['images']} images, {summary['boxes']} boxes "
        f"({summary['boxes_per_image']:.1f} an image, {summary['boxes_per_image_min']} to "
        f"{summary['boxes_per_image_max']}); {summary['images_without_boxes']} images without boxes"
    )
    if "seconds" in summary:
        print(
            f"{summary['images_this_run']} images in this run, {summary['seconds']:.1f} s, "
            f"{summary['images_per_s']:.1f} images/s"
        )
    failures = summary["failures"]
    if failures:
        print(f"{len(failures)} images left out, listed in {out}.failures.txt, e.g.")
        for path, reason in failures[:5]:
            print(f"  {path}: {reason}")


def run(args):
    """Do what the arguments say; returns the summary."""
    if args.merge:
        return merge_shards(args.out, args.overwrite)
    return generate_regions(
        list_images(args.images, args.img_root),
        args.out,
        proposer_config(args),
        dict(type=args.filter, **args.filter_args),
        segments=args.segments_args if args.segments else None,
        shard=args.shard,
        workers=args.workers or default_workers(os.environ),
        overwrite=args.overwrite,
        max_failures=args.max_failures,
    )


def main(argv=None):
    """Run the tool; returns the exit code."""
    args = parse_args(argv)
    try:
        summary = run(args)
        if args.json:
            with atomic_path(shard_path(args.json, *args.shard)) as temporary:
                temporary.write_text(json.dumps(summary, indent=2))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the same command resumes", file=sys.stderr)
        return 130
    print_summary(summary, shard_path(args.out, *args.shard))
    if args.shard[1] > 1:
        print(f"when all {args.shard[1]} are there: generate_regions.py --merge --out {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
