"""Draw the label fractions of a COCO file, as semi-supervised detection reports them.

The draws and file names are those of mmdet's tools/misc/split_coco.py: fold F of P % seeds NumPy
with F, draws int(P / 100 * N) positions out of N with replacement (so that some images are drawn
twice and the file holds slightly fewer) and writes FOLDER/NAME.F@P.json.

Example (the files that configs/transfer/coco/*pct.py read, and four more folds):
    python tools/dataset_converters/split_coco.py data/coco/annotations/instances_train2017.json \
        --out-dir data/coco/semi_anns
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mmregioncon.regions.atomic import atomic_path


def parse_args(argv=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("annotations", type=Path, help="COCO file, e.g. instances_train2017.json")
    parser.add_argument("--out-dir", type=Path, required=True, help="folder of the new files")
    parser.add_argument("--percent", type=float, nargs="+", default=[1, 2, 5, 10])
    parser.add_argument(
        "--folds", type=int, default=5, help="draws of each; the seeds are 1, 2, ..."
    )
    parser.add_argument("--unlabelled", action="store_true", help="also write the other images")
    return parser.parse_args(argv)


def draw(count, percent, fold):
    """Which of ``count`` images keep their labels.

    Returns:
        Boolean array of shape ``(count,)``.
    """
    chosen = np.random.RandomState(fold).choice(count, size=int(percent / 100 * count))
    kept = np.zeros(count, bool)
    kept[chosen] = True
    return kept


def subset(coco, kept):
    """The content of a COCO file for those images where ``kept``, everything else as it was."""
    images = [image for image, keep in zip(coco["images"], kept) if keep]
    ids = {image["id"] for image in images}
    annotations = [item for item in coco["annotations"] if item["image_id"] in ids]
    return {**coco, "images": images, "annotations": annotations}


def read(path):
    """A COCO file's content."""
    try:
        coco = json.loads(path.read_text())
    except FileNotFoundError:
        sys.exit(f"error: {path}: no such file")
    except ValueError as error:
        sys.exit(f"error: {path} is not JSON: {error}")
    if not isinstance(coco, dict):
        sys.exit(f"error: {path} is no COCO file: it holds a {type(coco).__name__}")
    missing = {"images", "annotations", "categories"} - set(coco)
    if missing:
        sys.exit(f"error: {path} is no COCO file: it lacks {', '.join(sorted(missing))}")
    return coco


def main(argv=None):
    """Write all fractions and folds."""
    args = parse_args(argv)
    coco, count = read(args.annotations), 0
    for percent in args.percent:
        if not 0 < percent <= 100 or int(percent / 100 * len(coco["images"])) == 0:
            sys.exit(f"error: --percent {percent:g} leaves no image of {len(coco['images'])}")
    jobs = [(p, fold) for p in args.percent for fold in range(1, args.folds + 1)]
    for percent, fold in tqdm(jobs, unit="file", desc="splits"):
        kept = draw(len(coco["images"]), percent, fold)
        stem = f"{args.annotations.stem}.{fold}@{percent:g}"
        for name, mask in ((stem, kept), (f"{stem}-unlabeled", ~kept)):
            if mask is kept or args.unlabelled:
                with atomic_path(args.out_dir / f"{name}.json") as temporary:
                    temporary.write_text(json.dumps(subset(coco, mask)))
                count += 1
    print(f"{count} files in {args.out_dir}")


if __name__ == "__main__":
    main()
