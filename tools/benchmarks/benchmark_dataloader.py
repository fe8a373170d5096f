"""Samples a second of one loader worker, and which transform takes the time.

Reads real files: the config's region file, or with --synthetic 500x375 JPEGs made on the spot.
One process, OpenCV on one thread, as in a loader's worker.

Examples:
    python tools/benchmarks/benchmark_dataloader.py configs/demo/soco_r18-fpn_demo.py
    python tools/benchmarks/benchmark_dataloader.py \
        configs/soco/soco_r50-fpn_1xb64-coslr-100e_in1k.py --synthetic --json loader.json
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope

from mmregioncon.regions import RegionRow, write_store
from mmregioncon.registry import DATASETS


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="pre-training config")
    parser.add_argument("--synthetic", action="store_true", help="500x375 JPEGs, made for this")
    parser.add_argument("--num-samples", type=int, default=100, help="samples a round")
    parser.add_argument("--repeats", type=int, default=5, help="rounds; the median counts")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction)
    parser.add_argument("--json", help="write the figures to this file")
    return parser.parse_args()


def make_images(folder, num=32, seed=0):
    """Write JPEGs of smoothed noise with 20 boxes each, and their region file; return it."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(num):
        img = cv2.resize(rng.integers(0, 256, (47, 63, 3), dtype=np.uint8), (500, 375))
        cv2.imwrite(str(folder / f"{i}.jpg"), img)
        corner = rng.uniform(0, (280, 200), (20, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(100, (220, 175), (20, 2))], 1)
        rows.append(RegionRow(f"{i}.jpg", 375, 500, boxes.astype(np.float32), np.ones(20, "f4")))
    write_store(folder / "regions.arrow", rows, dict(root=str(folder)))
    return str(folder / "regions.arrow")


def walk(transforms, prefix=""):
    """Yield ``(name, owner, index)`` of each transform, those of the views one by one."""
    for index, step in enumerate(transforms):
        name = prefix + type(step).__name__
        if hasattr(step, "pipelines"):
            for view, pipeline in enumerate(step.pipelines):
                yield from walk(pipeline.transforms, f"view {view}: ")
        else:
            yield name, transforms, index


def instrument(dataset):
    """Wrap every transform in a clock; return the seconds, by transform."""
    seconds = defaultdict(float)

    def clocked(step, name):
        def call(results):
            start = time.perf_counter()
            results = step(results)
            seconds[name] += time.perf_counter() - start
            return results

        return call

    for name, owner, index in list(walk(dataset.pipeline.transforms)):
        owner[index] = clocked(owner[index], name)
    return seconds


def measure(dataset, num_samples):
    """Samples a second of one pass."""
    start = time.perf_counter()
    for i in range(num_samples):
        dataset[i % len(dataset)]
    return num_samples / (time.perf_counter() - start)


def main():
    args = parse_args()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    init_default_scope(cfg.default_scope)
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as folder:
        if args.synthetic:
            cfg.train_dataloader.dataset.region_file = make_images(Path(folder))
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
        measure(dataset, 10)
        rates = [measure(dataset, args.num_samples) for _ in range(args.repeats)]
        seconds = instrument(dataset)
        measure(dataset, args.num_samples)
    parts = {name: 1000 * spent / args.num_samples for name, spent in seconds.items()}
    report(args, median(rates), parts)


def report(args, samples_per_s, parts):
    """Print the rate and the table, and write them to ``--json``."""
    print(f"samples_per_s: {samples_per_s:.1f}\n\nms a sample")
    for name, spent in sorted(parts.items(), key=lambda item: -item[1]):
        print(f"{spent:8.2f}  {name}")
    if args.json:
        figures = dict(
            config=args.config, samples_per_s=samples_per_s, milliseconds_per_sample=parts
        )
        Path(args.json).write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
