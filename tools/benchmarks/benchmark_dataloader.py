"""Samples a second of one loader worker, and which transform takes the time.

Reads real files: the config's region file, or 500x375 JPEGs made on the spot with 20 random boxes
each: of noise with --synthetic, of photographs with --images. One process reads and joins batches,
OpenCV and torch on one thread, as a loader's worker does. If the config leaves colours to the
device, their time there is told apart.

Examples:
    python tools/benchmarks/benchmark_dataloader.py configs/demo/soco_r18-fpn_demo.py
    python tools/benchmarks/benchmark_dataloader.py \
        configs/soco/soco_r50-fpn_1xb64-coslr-100e_in1k.py --images photographs --cfg-options \
        train_dataloader.dataset.colours_on_device=True --json loader.json
    git worktree add /tmp/before COMMIT
    python tools/benchmarks/benchmark_dataloader.py \
        configs/soco/soco_r50-fpn_1xb64-coslr-100e_in1k.py --synthetic --against /tmp/before
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
import torchvision.transforms as tv
from mmengine.config import Config, DictAction
from mmengine.registry import FUNCTIONS, init_default_scope
from PIL import Image, ImageFilter

from mmregioncon.regions import RegionRow, write_store
from mmregioncon.registry import DATASETS, MODELS

SIZE = (500, 375)


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="pre-training config")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--synthetic", action="store_true", help="500x375 JPEGs of noise")
    source.add_argument("--images", help="folder of JPEGs; the first 64, resized to 500x375")
    parser.add_argument("--num-batches", type=int, default=4, help="batches a round")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5, help="rounds; the median counts")
    parser.add_argument("--device", default="cpu", help="where colours left to the device are done")
    parser.add_argument(
        "--against",
        metavar="DIR",
        help="checkout of another commit, measured in turns with this one, without --cfg-options; "
        "CONFIG is relative to both",
    )
    parser.add_argument(
        "--pil",
        action="store_true",
        help="also time SoCo's three views by PIL and torchvision, without boxes: our stand-in for "
        "the original's data class, not its code",
    )
    parser.add_argument("--cfg-options", nargs="+", action=DictAction)
    parser.add_argument("--json", help="write the figures to this file")
    return parser.parse_args()


def photographs(folder, num=64):
    """Yield the first images of a folder."""
    files = sorted(Path(folder).rglob("*.jpg"))[:num]
    if not files:
        raise SystemExit(f"--images {folder}: there is no *.jpg in it")
    for file in files:
        yield cv2.imread(str(file))


def noise(num=32, seed=0):
    """Yield images of noise."""
    rng = np.random.default_rng(seed)
    for _ in range(num):
        yield rng.integers(0, 256, (47, 63, 3), dtype=np.uint8)


def make_images(folder, images, seed=0):
    """Write enlarged JPEGs with 20 boxes each, and their region file; return it."""
    rng = np.random.default_rng(seed)
    rows = []
    for i, img in enumerate(images):
        cv2.imwrite(str(folder / f"{i}.jpg"), cv2.resize(img, SIZE, interpolation=cv2.INTER_CUBIC))
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


def batches(dataset, collate, args):
    """Yield batches as a worker makes them."""
    for first in range(0, args.num_batches * args.batch_size, args.batch_size):
        rows = range(first, first + args.batch_size)
        yield collate([dataset[row % len(dataset)] for row in rows])


def measure(dataset, collate, args):
    """Samples a second of one pass."""
    start = time.perf_counter()
    for _ in batches(dataset, collate, args):
        pass
    return args.num_batches * args.batch_size / (time.perf_counter() - start)


def measure_device(cfg, dataset, collate, args):
    """Milliseconds a sample to make a batch ready on the device: with its colours, without."""
    preprocessor = cfg.model.get("data_preprocessor") or dict(type="RegionDataPreprocessor")
    preprocessor = MODELS.build(preprocessor).to(args.device)
    spent = [[], []]
    for batch in batches(dataset, collate, args):
        plain = [sample.clone() for sample in batch["data_samples"]]
        for sample in plain:
            del sample.colours
        for times, samples in zip(spent, (batch["data_samples"], plain)):
            start = time.perf_counter()
            preprocessor(dict(inputs=batch["inputs"], data_samples=samples), training=True)
            if torch.device(args.device).type == "cuda":
                torch.cuda.synchronize()
            times.append(1000 * (time.perf_counter() - start) / args.batch_size)
    return [median(times) for times in spent]


def pil_views():
    """A function from a file to three float tensors, normalised: the views that SoCo describes."""
    normalise = [tv.ToTensor(), tv.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]

    def view(crop, blur, solarise):
        colours = [
            tv.RandomHorizontalFlip(),
            tv.RandomApply([tv.ColorJitter(0.4, 0.4, 0.2, 0.1)], 0.8),
            tv.RandomGrayscale(0.2),
            tv.RandomApply([_pil_blur], blur),
            tv.RandomSolarize(128, solarise),
        ]
        return tv.Compose([crop, *colours, *normalise])

    views = [
        view(tv.Resize((224, 224)), 1.0, 0.0),
        view(tv.RandomResizedCrop(224, (0.5, 1.0)), 0.1, 0.2),
        view(tv.RandomResizedCrop(112, (0.5, 1.0)), 0.1, 0.2),
    ]

    def load(file):
        img = Image.open(file).convert("RGB")
        return [one(img) for one in views]

    return load


def _pil_blur(img):
    return img.filter(ImageFilter.GaussianBlur(np.random.uniform(0.1, 2.0)))


def measure_pil(dataset, args):
    """Samples a second of one pass of :func:`pil_views` over the files of the data set."""
    load, files = pil_views(), [dataset.get_data_info(i)["img_path"] for i in range(len(dataset))]
    start = time.perf_counter()
    for first in range(0, args.num_batches * args.batch_size, args.batch_size):
        rows = range(first, first + args.batch_size)
        torch.utils.data.default_collate([load(files[row % len(files)]) for row in rows])
    return args.num_batches * args.batch_size / (time.perf_counter() - start)


def rate_of(checkout, args):
    """Samples a second of one round of this benchmark with another checkout's package."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [sys.executable, os.path.abspath(__file__), args.config, "--repeats", "1"]
        command += ["--num-batches", args.num_batches, "--batch-size", args.batch_size]
        command += ["--images", os.path.abspath(args.images)] if args.images else []
        command += ["--synthetic"] if args.synthetic else []
        subprocess.run(
            [str(word) for word in (*command, "--json", file.name)],
            cwd=checkout,
            env=dict(os.environ, PYTHONPATH=os.path.abspath(checkout)),
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return json.loads(Path(file.name).read_text())["samples_per_s"]


def main():
    args = parse_args()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    init_default_scope(cfg.default_scope)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    figures = dict(config=args.config)
    with tempfile.TemporaryDirectory() as folder:
        if args.synthetic or args.images:
            images = photographs(args.images) if args.images else noise()
            cfg.train_dataloader.dataset.region_file = make_images(Path(folder), images)
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
        collate = FUNCTIONS.get(cfg.train_dataloader.collate_fn.type)
        measure(dataset, collate, args)
        rates, others, pil = [], [], []
        for _ in range(args.repeats):
            rates.append(measure(dataset, collate, args))
            others += [rate_of(args.against, args)] if args.against else []
            pil += [measure_pil(dataset, args)] if args.pil else []
        if cfg.train_dataloader.dataset.get("colours_on_device"):
            both = measure_device(cfg, dataset, collate, args)
            figures.update(zip(("device_ms_per_sample", "device_ms_without_colours"), both))
        seconds = instrument(dataset)
        measure(dataset, collate, args)
    figures["samples_per_s"] = median(rates)
    if args.against:
        figures["against_samples_per_s"] = median(others)
        figures["ratio"] = median(rate / other for rate, other in zip(rates, others))
    if args.pil:
        figures["pil_samples_per_s"] = median(pil)
    num_samples = args.num_batches * args.batch_size
    parts = {name: 1000 * spent / num_samples for name, spent in seconds.items()}
    report(args, figures, parts)


def report(args, figures, parts):
    """Print the figures and the table, and write them to ``--json``."""
    for name, value in figures.items():
        print(f"{name}: {value:.2f}" if isinstance(value, float) else f"{name}: {value}")
    print("\nms a sample")
    for name, spent in sorted(parts.items(), key=lambda item: -item[1]):
        print(f"{spent:8.2f}  {name}")
    if args.json:
        Path(args.json).write_text(
            json.dumps(dict(figures, milliseconds_per_sample=parts), indent=2)
        )


if __name__ == "__main__":
    main()
