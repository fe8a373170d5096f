"""Size, opening time, memory and random rows/s of a region file as large as ImageNet's.

The file is synthetic and goes when the benchmark ends, unless --store names it. Beside it, some
of the same boxes as one JSON, which is how SoCo keeps them. "Memory" is what a process has for
itself beyond the page cache: Python, torch and other libraries included, but not what forked
processes share. One process is a fresh one; several are forked, as a loader forks its workers.
Linux only.

Examples:
    python tools/benchmarks/benchmark_store.py --json store.json
    # make the file once, measure it several times
    python tools/benchmarks/benchmark_store.py --store /tmp/in1k.arrow --num-rows 200000
    python tools/benchmarks/benchmark_store.py --num-images 10000 --json-fraction 1
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
from tqdm import tqdm

from mmregioncon.regions import RegionRow, RegionStore, write_store
from mmregioncon.regions.atomic import atomic_path

MB = 1e6
HEIGHT, WIDTH = 375, 500


def parse_args(argv=None):
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--num-images", type=int, default=1_281_167, help="default: ImageNet's")
    parser.add_argument("--boxes", type=int, default=60, help="an image (default: 60)")
    parser.add_argument("--num-rows", type=int, default=100_000, help="random rows a process reads")
    parser.add_argument("--processes", type=int, default=8, help="that share the file at a time")
    parser.add_argument(
        "--json-fraction", type=float, default=0.1, help="of the images, in the JSON (default: .1)"
    )
    parser.add_argument("--store", type=Path, help="region file to use; made, and kept, if missing")
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file")
    args = parser.parse_args(argv)
    if min(args.num_images, args.boxes, args.num_rows, args.processes) < 1:
        parser.error("numbers must be at least 1")
    if not 0 < args.json_fraction <= 1:
        parser.error("--json-fraction must be above 0 and at most 1")
    return args


def synthetic_rows(num_images, num_boxes, seed=0):
    """Rows with names like ImageNet's and random boxes."""
    rng = np.random.default_rng(seed)
    scores = np.linspace(1, 0, num_boxes, endpoint=False, dtype=np.float32)
    for start in range(0, num_images, 4096):
        numbers = range(start, min(start + 4096, num_images))
        shape = (len(numbers), num_boxes, 2)
        corners = rng.random(shape, np.float32) * np.float32([WIDTH / 2, HEIGHT / 2])
        sizes = 1 + rng.random(shape, np.float32) * np.float32([WIDTH / 2 - 1, HEIGHT / 2 - 1])
        for number, boxes in zip(numbers, np.concatenate([corners, corners + sizes], axis=2)):
            folder = f"n{number // 1300:08d}"
            yield RegionRow(f"{folder}/{folder}_{number}.JPEG", HEIGHT, WIDTH, boxes, scores)


def make_store(path, num_images, num_boxes):
    """Write the synthetic region file.

    Raises:
        ValueError: the disk has no room for it, and for the JSON.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    needed = num_images * (num_boxes * 20 + 60) * 1.5
    if shutil.disk_usage(path.parent).free < needed:
        raise ValueError(
            f"{path.parent}: needs {needed / MB:.0f} MB; choose another place with --store (or "
            "TMPDIR), or fewer --num-images"
        )
    rows = tqdm(synthetic_rows(num_images, num_boxes), "writing", num_images, unit="img")
    write_store(path, rows, dict(root="images"))


def write_json(store, num_images, path):
    """Write the first rows as SoCo's JSON: ``{name: [[x, y, w, h], ...]}`` of whole numbers."""
    with open(path, "w", encoding="utf-8") as file:
        for index in tqdm(range(num_images), "writing the JSON", unit="img"):
            row = store[index]
            boxes = row.boxes.round().astype(int)
            boxes[:, 2:] -= boxes[:, :2]
            name = json.dumps(Path(row.img_path).stem)
            file.write(("{" if index == 0 else ",\n") + f"{name}: {json.dumps(boxes.tolist())}")
        file.write("}\n")


def memory():
    """MB that only this process has, pages of files left out."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as file:
        kilobytes = next(line.split()[1] for line in file if line.startswith("Private_Dirty"))
    return int(kilobytes) * 1024 / MB


def read_store(path, num_rows, seed):
    """Open the store and read random rows, in a process of its own."""
    before = memory()
    start = time.perf_counter()
    store = RegionStore(path)
    opened = time.perf_counter()
    indices = np.random.default_rng(seed).integers(len(store), size=num_rows).tolist()
    start_rows = time.perf_counter()
    boxes = sum(len(store[index].boxes) for index in indices)
    seconds = time.perf_counter() - start_rows
    _together.wait()  # memory while all processes have the file
    after = memory()
    _together.wait()
    assert boxes > 0
    return dict(
        open_seconds=opened - start,
        rows_per_s=num_rows / seconds,
        memory_mb=after,
        memory_of_store_mb=after - before,
    )


def read_json(path, num_rows, seed):
    """Load the JSON, in a process of its own."""
    before = memory()
    start = time.perf_counter()
    with open(path, encoding="utf-8") as file:
        content = json.load(file)
    seconds = time.perf_counter() - start
    after = memory()
    return dict(
        images=len(content), load_seconds=seconds, memory_mb=after, memory_of_json_mb=after - before
    )


_together = None


def _join_others(barrier):
    global _together
    _together = barrier


def in_processes(number, function, path, num_rows=0, start="spawn"):
    """Results of ``function(path, num_rows, seed)`` in processes that run at a time."""
    context = multiprocessing.get_context(start)
    with ProcessPoolExecutor(number, context, _join_others, (context.Barrier(number),)) as pool:
        return list(pool.map(function, [path] * number, [num_rows] * number, range(number)))


def drop_page_cache(path):
    """Forget the pages of a file, as after a reboot."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def fill_page_cache(path):
    """Have all pages of a file in memory."""
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 24):
            pass


def measure(args, store_path, json_path):
    """All figures."""
    figures = dict(num_images=args.num_images, boxes_per_image=args.boxes)
    figures["file_mb"] = store_path.stat().st_size / MB
    drop_page_cache(store_path)
    figures["cold"] = in_processes(1, read_store, store_path, min(args.num_rows, 2000))[0]
    fill_page_cache(store_path)
    figures["one_process"] = in_processes(1, read_store, store_path, args.num_rows)[0]
    each = in_processes(args.processes, read_store, store_path, args.num_rows, "fork")
    figures["processes"] = dict(
        number=args.processes,
        rows_per_s=sum(one["rows_per_s"] for one in each),
        memory_mb=max(one["memory_mb"] for one in each),
        memory_of_store_mb=max(one["memory_of_store_mb"] for one in each),
        open_seconds=median(one["open_seconds"] for one in each),
    )
    num_in_json = max(1, int(args.num_images * args.json_fraction))
    write_json(RegionStore(store_path), num_in_json, json_path)
    figures["json"] = in_processes(1, read_json, json_path)[0]
    figures["json"].update(fraction=args.json_fraction, file_mb=json_path.stat().st_size / MB)
    return figures


def report(figures):
    """Print the figures."""
    one, several = figures["one_process"], figures["processes"]
    cold, text = figures["cold"], figures["json"]
    print(
        f"\n{figures['num_images']} images, {figures['boxes_per_image']} boxes each\n"
        f"region file: {figures['file_mb']:.0f} MB\n"
        f"  one process: opens in {one['open_seconds'] * 1e3:.1f} ms, {one['rows_per_s']:.0f} "
        f"random rows/s; memory {one['memory_mb']:.0f} MB, {one['memory_of_store_mb']:.1f} of "
        "them by the store\n"
        f"  {several['number']} processes: {several['rows_per_s']:.0f} random rows/s "
        f"together; memory of each at most {several['memory_mb']:.0f} MB, "
        f"{several['memory_of_store_mb']:.1f} by the store\n"
        f"  nothing of it in the page cache: opens in {cold['open_seconds'] * 1e3:.1f} ms, "
        f"{cold['rows_per_s']:.0f} random rows/s\n"
        f"JSON of {text['images']} of the images: {text['file_mb']:.0f} MB; loads in "
        f"{text['load_seconds']:.1f} s; memory {text['memory_mb']:.0f} MB, "
        f"{text['memory_of_json_mb']:.0f} by the JSON"
    )


def main(argv=None):
    """Run the benchmark; returns the exit code."""
    args = parse_args(argv)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark_store-")))
        store = args.store or folder / "regions.arrow"
        try:
            if not store.exists():
                make_store(store, args.num_images, args.boxes)
            args.num_images = len(RegionStore(store))
            figures = measure(args, store, folder / "regions.json")
        except (ValueError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    report(figures)
    if args.json:
        with atomic_path(args.json) as temporary:
            temporary.write_text(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
