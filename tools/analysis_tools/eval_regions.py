"""Compare regions: how many annotated objects they find, and what an image takes to propose.

Region files and proposers that run here are judged on the same images, evenly taken from those
that have objects. AR@N is the share of objects that one of an image's N best boxes covers,
averaged over IoU .5 to .95; R@.5 is that of the 100 best at IoU .5. Small and large objects have
a side (the root of the area) under 5.8 % and over 17.3 % of the image's: COCO's 32 and 96 px, at
640x480. Times are medians in this one process, with one OpenCV thread, without decoding.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import mmcv
import numpy as np
from mmengine.config import DictAction
from tqdm import tqdm

from mmregioncon.evaluation.region_recall import (
    IOU_THRS,
    NUMS,
    average_recall,
    best_overlaps,
    size_classes,
)
from mmregioncon.regions import RegionRow, RegionStore, list_images, read_coco, read_image
from mmregioncon.regions.atomic import atomic_path
from mmregioncon.regions.coco import PathIndex
from mmregioncon.regions.generate import PROPOSERS
from mmregioncon.registry import REGION_PROPOSERS
from mmregioncon.utils.opencv import one_opencv_thread

EXAMPLES = """examples:
  # region files, at COCO's validation images
  python tools/analysis_tools/eval_regions.py data/coco/annotations/instances_val2017.json \\
      --regions soco=soco.arrow ccop=ccop.arrow --json recall.json --plot recall.png
  # proposers, with pictures of 500 px; @300: reduced to 300 px first, within the time
  python tools/analysis_tools/eval_regions.py instances_val.json --img-root val --limit 100 \\
      --long-side 500 --proposers fast_search selective_search selective_search@300 grid random \\
      --proposer-args grid.n=10 random.num=100
  # no annotations: times and numbers of boxes alone
  python tools/analysis_tools/eval_regions.py ~/photos --proposers fast_search selective_search
"""
CURVE = (1, 2, 5, *NUMS[:1], 20, *NUMS[1:], 200, 500, 1000)
ALL = 10**9  # boxes


def parse_args(argv=None):
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("truth", help="COCO JSON with boxes, or a folder of images: times alone")
    parser.add_argument("--img-root", help="folder of the JSON's images (default: the JSON's own)")
    parser.add_argument("--regions", nargs="+", default=[], metavar="NAME=FILE")
    parser.add_argument(
        "--proposers",
        nargs="+",
        default=[],
        metavar="NAME[@LONG_SIDE]",
        help=f"of {', '.join(PROPOSERS)}",
    )
    parser.add_argument(
        "--proposer-args", nargs="+", action=DictAction, default={}, metavar="NAME.KEY=VALUE"
    )
    parser.add_argument("--long-side", type=int, help="enlarge or reduce the images to this first")
    parser.add_argument("--limit", type=int, help="take so many images")
    parser.add_argument("--plot", metavar="FILE", help="draw the figures (.png, .svg, .pdf)")
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file")
    args = parser.parse_args(argv)
    if not args.regions and not args.proposers:
        parser.error("give --regions, --proposers or both")
    if any(number is not None and number < 1 for number in (args.limit, args.long_side)):
        parser.error("--limit and --long-side must be at least 1")
    return args


# ---- what is compared


class StoredRegions:
    """The regions of a file: ``(path, img) -> (row, None)``."""

    def __init__(self, file):
        self.file, self.store = file, RegionStore(file)
        self.index = PathIndex([row.img_path for row in self.store])

    def __contains__(self, path):
        return self.index.find(path) is not None

    def __call__(self, path, img):
        """The row of an image; no time is known."""
        return self.store[self.index.find(path)], None


class TimedProposer:
    """A proposer: ``(path, img) -> (row, (wall seconds, CPU seconds))``."""

    def __init__(self, cfg, long_side):
        self.proposer, self.long_side = REGION_PROPOSERS.build(cfg), long_side

    def __contains__(self, path):
        return True

    def __call__(self, path, img):
        """Propose on the picture, reduced first if so asked."""
        wall, cpu = time.perf_counter(), time.process_time()
        img = resize(img, self.long_side)
        boxes, scores = self.proposer(img, path)
        seconds = time.perf_counter() - wall, time.process_time() - cpu
        return RegionRow(path, *img.shape[:2], boxes, scores), seconds


def resize(img, long_side):
    """Bring ``(H, W, 3)`` uint8 to a long side; ``None`` leaves it."""
    if long_side is None or long_side == max(img.shape[:2]):
        return img
    kind = "area" if long_side < max(img.shape[:2]) else "bicubic"
    return mmcv.imrescale(img, (long_side, long_side), interpolation=kind)


def build_sources(args):
    """What is compared, by name.

    Raises:
        ValueError: a file or proposer cannot be used, or two have one name.
    """
    named = [(name, StoredRegions(file)) for name, file in map(_name_and_file, args.regions)]
    options = {spec: {} for spec in args.proposers}
    for key, value in args.proposer_args.items():
        spec, _, option = key.rpartition(".")
        if spec not in options:
            raise ValueError(
                f"--proposer-args {key}: write NAME.KEY=VALUE, with a NAME of --proposers "
                f"({', '.join(options) or 'none is given'})"
            )
        options[spec][option] = value
    named += [(spec, _timed_proposer(spec, options[spec])) for spec in args.proposers]
    sources = dict(named)
    if len(sources) < len(named):
        raise ValueError("--regions and --proposers: two have the same name")
    return sources


def _name_and_file(text):
    name, _, file = text.partition("=")
    if not name or not file:
        raise ValueError(f"--regions {text}: write NAME=FILE")
    return name, file


def _timed_proposer(spec, options):
    name, at, side = spec.partition("@")
    if name not in PROPOSERS:
        raise ValueError(f"--proposers {spec}: choose from {', '.join(PROPOSERS)}")
    if at and (not side.isdecimal() or int(side) < 1):
        raise ValueError(f"--proposers {spec}: write NAME@LONG_SIDE, in pixels, as {name}@300")
    try:
        return TimedProposer(dict(PROPOSERS[name], **options), int(side) if at else None)
    except TypeError as error:
        raise ValueError(f"--proposer-args of {spec}: {error}") from error


# ---- on which images


def read_truth(source):
    """Rows of the images that have objects, by path; a folder's images have none.

    Raises:
        ValueError: nothing to read there, or a JSON without boxes.
    """
    if Path(source).is_dir():
        return dict.fromkeys(list_images(source).paths)
    coco = read_coco(source)
    rows = map(coco.row, range(len(coco.paths)))
    truth = {row.img_path: row for row in rows if len(row.boxes)}
    if not truth:
        raise ValueError(
            f"{source}: none of its {len(coco.paths)} images has a box, so there is no recall; "
            "give a JSON with 'annotations', or a folder of images to measure times alone"
        )
    return truth


def choose_images(truth, sources, limit):
    """Paths of the images of all region files, at most ``limit`` of them, evenly taken.

    Raises:
        ValueError: there are none.
    """
    paths = list(truth)
    for name, source in sources.items():
        known = [path for path in paths if path in source]
        if not known:
            raise ValueError(
                f"--regions {name}={source.file}: has none of the {len(paths)} images, e.g. "
                f"{paths[0]}: a region file of other images"
            )
        if len(known) < len(paths):
            print(f"{name}: {len(paths) - len(known)} images are not in it and left out for all")
        paths = known
    rows = np.linspace(0, len(paths) - 1, min(limit or len(paths), len(paths)))
    return [paths[row] for row in rows.astype(int)]


def shares(row, wanted=None):
    """Boxes of a row, best first, as shares of the image's width and height.

    Args:
        row: a row.
        wanted: the truth's row; its image must have the same shape, larger or smaller.

    Raises:
        ValueError: it has not.
    """
    if wanted is not None:
        one, other = row.height * wanted.width, wanted.height * row.width
        if abs(one - other) > max(row.height, row.width, wanted.height, wanted.width):
            raise ValueError(
                f"{row.img_path}: is {row.width}x{row.height}, but the JSON says "
                f"{wanted.width}x{wanted.height}: boxes of another frame (another image, or EXIF "
                "rotation)"
            )
    order = np.argsort(-row.scores, kind="stable")
    return row.boxes[order] / np.array([row.width, row.height] * 2, np.float64)


# ---- measuring


def evaluate(truth, sources, paths, root, long_side=None):
    """Run all sources on all images, one image after another.

    Args:
        truth: see :func:`read_truth`.
        sources: see :func:`build_sources`.
        paths: images to take.
        root: their folder, or ``None`` if no source needs pixels.
        long_side: what the pictures are brought to.

    Returns:
        dict: figures by the source's name.
    """
    nums = (*CURVE, ALL)
    best, counts, seconds = ({name: [] for name in sources} for _ in range(3))
    sizes = []
    for path in tqdm(paths, unit="img", disable=None):
        img = root and resize(read_image(Path(root, path)), long_side)
        wanted = truth[path]
        objects = np.zeros((0, 4)) if wanted is None else shares(wanted)
        sizes.append(np.sqrt((objects[:, 2:] - objects[:, :2]).prod(axis=1)))
        for name, source in sources.items():
            row, spent = source(path, img)
            best[name].append(best_overlaps(objects, shares(row, wanted), nums))
            counts[name].append(len(row.boxes))
            seconds[name] += [spent] if spent else []
    sizes = np.concatenate(sizes)
    return {
        name: figures(np.concatenate(best[name]), sizes, counts[name], seconds[name])
        for name in sources
    }


def figures(best, sizes, counts, seconds):
    """All figures of one source.

    Args:
        best: ``(N, M)`` of all objects, for the numbers of boxes of ``CURVE`` and all boxes.
        sizes: ``(N,)`` of the objects.
        counts: boxes of each image.
        seconds: wall and CPU seconds of each image, if known.
    """
    wall, cpu = np.median(seconds, axis=0).tolist() if seconds else (None, None)
    classes = {name: dict(_recalls(best[mask])) for name, mask in size_classes(sizes).items()}
    curve = dict(zip(CURVE, map(_number, average_recall(best))))
    return dict(
        _recalls(best),
        seconds_per_image=wall,
        cpu_seconds_per_image=cpu,
        boxes_per_image=float(np.mean(counts)),
        by_size=classes,
        ar_by_boxes=curve,
        recall_100_by_iou=[_number(average_recall(best, [thr])[_column(100)]) for thr in IOU_THRS],
    )


def _recalls(best):
    recalls = list(map(_number, average_recall(best)))
    found = _number(average_recall(best, [0.5])[_column(100)])
    by_num = {f"ar_{num}": recalls[_column(num)] for num in NUMS}
    return dict(by_num, ar_all=recalls[-1], recall_50=found, objects=len(best))


def _column(num):
    return CURVE.index(num)


def _number(value):
    return None if np.isnan(value) else float(value)


# ---- showing


def table(results):
    """Lines of a table in Markdown; what is not known is a dash."""
    head = "regions|boxes|AR@10|AR@50|AR@100|small|medium|large|AR of all|R@.5|s an image"
    lines = [head, "|".join(["---"] * (head.count("|") + 1))]
    for name, one in results.items():
        by_size = (one["by_size"][size]["ar_100"] for size in ("small", "medium", "large"))
        shares = (*(one[f"ar_{num}"] for num in NUMS), *by_size, one["ar_all"], one["recall_50"])
        cells = [name, f"{one['boxes_per_image']:.0f}"]
        cells += ["-" if value is None else f"{value:.3f}" for value in shares]
        seconds = one["seconds_per_image"]
        lines.append("|".join([*cells, "-" if seconds is None else f"{seconds:.3f}"]))
    return "\n".join(f"| {line.replace('|', ' | ')} |" for line in lines)


def plot(path, results):
    """AR by the number of boxes, and recall of the 100 best by IoU."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for number, (name, one) in enumerate(results.items()):
        seconds = one["seconds_per_image"]
        label = name if seconds is None else f"{name}, {seconds:.2g} s"
        style = dict(color=f"C{number}", marker="o", markersize=3, label=label)
        left.plot(list(one["ar_by_boxes"]), list(one["ar_by_boxes"].values()), **style)
        right.plot(IOU_THRS, one["recall_100_by_iou"], **style)
    left.set(xscale="log", xlabel="boxes an image, best first", ylabel="AR (IoU .5 to .95)")
    right.set(xlabel="IoU", ylabel="recall of the 100 best boxes")
    for axes in (left, right):
        axes.set_ylim(0)
        axes.grid(alpha=0.3)
    left.legend(fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, format=Path(path).suffix[1:] or "png")


def run(args):
    """Do what the arguments say; returns what ``--json`` writes."""
    truth, sources = read_truth(args.truth), build_sources(args)
    paths = choose_images(truth, sources, args.limit)
    root = list_images(args.truth, args.img_root).root if args.proposers else None
    with one_opencv_thread():
        results = evaluate(truth, sources, paths, root, args.long_side)
    objects = next(iter(results.values()))["objects"]
    summary = dict(truth=args.truth, images=len(paths), objects=objects, long_side=args.long_side)
    return dict(summary, proposers=results)


def main(argv=None):
    """Run the tool; returns the exit code."""
    args = parse_args(argv)
    try:
        summary = run(args)
        results = summary["proposers"]
        if args.json:
            with atomic_path(args.json) as temporary:
                temporary.write_text(json.dumps(summary, indent=2))
        if args.plot:
            plot(args.plot, results)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{summary['images']} images, {summary['objects']} objects")
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
