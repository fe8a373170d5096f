"""Write the report of tools/quickstart.sh: one HTML file with everything in it."""

import argparse
import json
import os
import platform
import re
from datetime import datetime
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np

from mmregioncon.regions import RegionStore
from mmregioncon.visualization import report

PACKAGES = ("mmregioncon", "torch", "mmengine", "mmcv", "mmdet", "mmpretrain", "numpy", "cv2")
RUNS = ("pretrained", "scratch")  # folders finetune_<run> of the work dir
STYLES = dict(pretrained=("pre-trained", "#2563eb"), scratch=("from scratch", "#c2690a"))
METRICS = {"AP": "mAP", "AP50": "mAP_50", "AP75": "mAP_75", "AP small (< 32 px)": "mAP_s",
           "AP medium": "mAP_m"}  # fmt: skip
# Names of the methods as their papers write them
NAMES = dict(
    soco="SoCo", plrc="PLRC", detco="DetCo", ccop="CCOP", moco="MoCo v2", densecl="DenseCL"
)
# The least value of each method's loss.
LOSS_FLOORS = dict.fromkeys(NAMES, "0") | {"soco": "-8 (two pairs of views, each -4)"}
SCORE_THRESHOLD = 0.4
NUM_PICTURES = 6


def parse_args(argv=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/quickstart"))
    parser.add_argument("--data", type=Path, default=Path("data/demo"), help="the demo data set")
    parser.add_argument("--method", default="soco", choices=NAMES, help="what pre-trained")
    parser.add_argument("--json", type=Path, help="also write the AP figures (per cent) here")
    return parser.parse_args(argv)


def read_coco(data, split):
    """The annotation file of a split, as it is."""
    return json.loads((data / "annotations" / f"instances_{split}.json").read_text())


def describe_data(data):
    """Counts of pictures, boxes and regions."""
    train, val = read_coco(data, "train"), read_coco(data, "val")
    store = RegionStore(data / "regions.arrow")
    return dict(
        unlabelled=len(store),
        regions=np.mean([len(store[i].boxes) for i in range(len(store))]),
        train=len(train["images"]),
        train_boxes=len(train["annotations"]),
        val=len(val["images"]),
        val_boxes=len(val["annotations"]),
        classes=[category["name"] for category in val["categories"]],
    )


def ap_rows(evaluations, classes):
    """One row a figure: its name and its value in per cent for each run.

    Args:
        evaluations: ``{run: last evaluation's record}``.
        classes: Class names; each has a row of its own.
    """
    keys = {name: f"coco/bbox_{key}" for name, key in METRICS.items()}
    keys.update({f"AP, {name}": f"coco/{name}_precision" for name in classes})

    def per_cent(key):
        return {run: round(100 * max(found[key], 0), 2) for run, found in evaluations.items()}

    return [dict(name=name, **per_cent(key)) for name, key in keys.items()]


def draw_detections(data, result_files):
    """Rows of pictures: ground truth, then the detections of each run."""
    coco = read_coco(data, "val")
    names = {category["id"]: category["name"] for category in coco["categories"]}
    sources = [coco["annotations"]]
    for file in result_files:
        found = json.loads(Path(file).read_text())
        sources.append([d for d in found if d["score"] >= SCORE_THRESHOLD])
    chosen = np.linspace(0, len(coco["images"]) - 1, NUM_PICTURES).astype(int)
    rows = []
    for image in (coco["images"][i] for i in chosen):
        pixels = cv2.imread(str(data / "val" / image["file_name"]))
        rows.append([draw_source(pixels, image["id"], source, names) for source in sources])
    return rows


def draw_source(pixels, image_id, source, names):
    """One picture with those COCO objects of ``source`` that are on it, weakest first."""
    objects = [obj for obj in source if obj["image_id"] == image_id]
    objects.sort(key=lambda obj: obj.get("score", 1))
    boxes = [[x, y, x + w, y + h] for x, y, w, h in (obj["bbox"] for obj in objects)]
    labels = [obj["category_id"] - 1 for obj in objects]
    captions = [
        names[obj["category_id"]] + (f" {obj['score']:.2f}" if "score" in obj else "")
        for obj in objects
    ]
    return report.image_uri(report.draw_objects(pixels, boxes, labels, captions))


def read_views(folder):
    """The first and the last picture of views that RegionViewsHook wrote."""
    files = sorted(folder.glob("*.png"), key=lambda f: int(re.findall(r"\d+", f.stem)[-1]))
    return [
        dict(uri=report.image_uri(cv2.imread(str(file))), caption=file.stem.replace("_", " "))
        for file in dict.fromkeys(files[:1] + files[-1:])
    ]


def read_steps(folder):
    """What quickstart.sh noted of its steps: title, seconds and command, a line each."""
    steps = []
    for file in sorted(folder.glob("*.done")):
        title, seconds, command = file.read_text().splitlines()[:3]
        steps.append(dict(title=title, seconds=int(seconds), command=command))
    for step in steps:
        step["time"] = clock(step["seconds"])
    return steps


def clock(seconds):
    """Seconds as ``m:ss``."""
    return f"{seconds // 60}:{seconds % 60:02d}"


def read_transferred(run_dir):
    """What LoadReportHook logged, or None."""
    for file in sorted(Path(run_dir).glob("*/*.log")):
        match = re.search(r"Loading from \S+: (backbone .*)", file.read_text())
        if match:
            return match[1]
    return None


def judge(pretrained, scratch, method):
    """One sentence on the two APs that claims no more than one seed can show."""
    difference = pretrained - scratch
    start = f"Fine-tuned from {method}'s checkpoint, the detector reaches {pretrained:.1f} AP; "
    start += f"from scratch, with the same budget, {scratch:.1f}. "
    if abs(difference) < 1:
        return start + "That is within what a change of the seed does."
    return start + f"Pre-training is {'ahead' if difference > 0 else 'behind'} in this run."


def machine():
    """Cores and kind of processor."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.is_file() else None
    processor = found[1].strip() if found else platform.machine()
    return f"{len(os.sched_getaffinity(0))} cores ({processor}), Python {platform.python_version()}"


def build_context(args, method):
    """All that the template shows."""
    pretrain, _ = report.read_scalars(args.work_dir / "pretrain")
    runs = {run: args.work_dir / f"finetune_{run}" for run in RUNS}
    scalars = {run: report.read_scalars(folder) for run, folder in runs.items()}
    data, steps = describe_data(args.data), read_steps(args.work_dir / "steps")
    rows = ap_rows({run: evaluation for run, (_, evaluation) in scalars.items()}, data["classes"])
    curves = {STYLES[run][0]: (scalars[run][0], STYLES[run][1]) for run in RUNS}
    plots = [
        report.plot_losses({method: (pretrain, "#2563eb")}, f"{method} pre-training"),
        report.plot_losses(curves, "fine-tuning"),
    ]
    return dict(
        title=f"{method} on the demo scenes",
        made=datetime.now().strftime("%Y-%m-%d %H:%M"),
        machine=machine(),
        verdict=judge(rows[0]["pretrained"], rows[0]["scratch"], method),
        summary=rows[0],
        ap_rows=rows,
        loss_plots=[report.figure_uri(plot) for plot in plots],
        pretrain_floor=LOSS_FLOORS[args.method],
        views=read_views(args.work_dir / "pretrain" / "views"),
        detections=draw_detections(args.data, [d / "val.bbox.json" for d in runs.values()]),
        score_threshold=SCORE_THRESHOLD,
        steps=steps,
        total_time=clock(sum(step["seconds"] for step in steps)),
        data=data,
        transferred=read_transferred(runs["pretrained"]),
        versions={name: import_module(name).__version__ for name in PACKAGES},
    )


def main(argv=None):
    """Gather everything and write the report."""
    args = parse_args(argv)
    context = build_context(args, NAMES[args.method])
    report.render_report(args.work_dir / "report.html", **context)
    if args.json:
        args.json.write_text(json.dumps({row["name"]: row for row in context["ap_rows"]}, indent=1))
    print(context["verdict"])
    print(f"report: {args.work_dir / 'report.html'}")


if __name__ == "__main__":
    main()
