"""Propose regions for many images: parallel, resumable, the same bytes every time.

Images are taken in a fixed order, a chunk at a time. A finished chunk is a small region file in
``<out>.parts/``, written atomically, that also keeps the chunk's failures; when all are there
they are joined into ``out``. A killed run is repeated from its last finished chunk.
"""

import collections
import contextlib
import fcntl
import hashlib
import itertools
import json
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mmregioncon.registry import REGION_PROPOSERS

from .atomic import atomic_path
from .filters import build_filter, clip_to_image
from .images import read_image
from .proposers import path_seed
from .store import RegionRow, RegionStore, RegionStoreError, write_store

CHUNK_IMAGES = 64

PROPOSERS = {
    "selective_search": dict(type="SelectiveSearch", mode="fast"),
    "selective_search_quality": dict(type="SelectiveSearch", mode="quality"),
    "felzenszwalb": dict(type="FelzenszwalbRegions"),
    "grid": dict(type="GridRegions"),
    "random": dict(type="RandomRegions"),
    "coco": dict(type="CocoRegions"),
}


def generate_regions(
    images, out, proposer, filter_cfg=None, workers=None, overwrite=False, progress=True
):
    """Propose regions for a list of images and write them to a region file.

    Args:
        images: :class:`ImageList`.
        out: the region file. Unreadable images are listed in ``<out>.failures.txt``.
        proposer: config of a proposer in ``REGION_PROPOSERS``.
        filter_cfg: config for :func:`build_filter`; by default all boxes stay.
        workers: processes; by default one for each usable core. The result does not depend on it.
        overwrite: replace ``out`` if it exists, and drop parts of other parameters.
        progress: show a progress bar.

    Returns:
        dict: the summary (see :func:`summarise`), with ``failures`` as ``(path, reason)`` pairs.

    Raises:
        RegionStoreError: ``out`` exists, another run is writing it, the parts found belong to
            other parameters, or no image could be read.
        ValueError: the proposer or filter cannot be built.
    """
    out = Path(out)
    if out.exists() and not overwrite:
        raise RegionStoreError(f"{out}: exists already; pass --overwrite to replace it")
    filter_cfg = dict(filter_cfg or dict(type="none"))
    work = _ImageWork(images.root, _build_proposer(proposer), build_filter(filter_cfg))
    metadata = _metadata(images, proposer, filter_cfg, work.proposer)
    started = time.time()
    with _open_parts(out, metadata, overwrite) as parts:
        done = _propose_missing(parts, images.paths, work, workers, progress)
        summary, failures = _join(parts, out, len(images.paths), metadata)
    seconds = time.time() - started
    summary.update(seconds=seconds, images_per_s=done / seconds, images_this_run=done)
    return dict(summary, failures=failures)


def _build_proposer(cfg):
    try:
        return REGION_PROPOSERS.build(dict(cfg))
    except TypeError as error:  # an unknown or missing option
        raise ValueError(f"--proposer-args: {error}") from error


def _metadata(images, proposer, filter_cfg, built):
    """What decides the result; parts with other metadata are not used."""
    return dict(
        root=images.root,
        images=hashlib.sha256("\n".join(images.paths).encode("utf-8", "replace")).hexdigest(),
        proposer=dict(proposer),
        proposer_digest=getattr(built, "digest", None),
        filter=filter_cfg,
        opencv=cv2.__version__,
    )


class _ImageWork:
    """What a worker does with an image."""

    def __init__(self, root, proposer, region_filter):
        self.root, self.proposer, self.region_filter = root, proposer, region_filter

    def __call__(self, path):
        """Give the image's row, or the reason why there is none, as a string."""
        try:
            path.encode("utf-8")
            img = read_image(Path(self.root, path))
            boxes, scores = clip_to_image(*self.proposer(img, path), img.shape[:2])
            rng = np.random.default_rng(path_seed(path))
            boxes, scores = self.region_filter(boxes, scores, img.shape[:2], rng)
            return RegionRow(path, *img.shape[:2], boxes, scores)
        except UnicodeEncodeError:
            return "its name is not UTF-8; rename it"
        except Exception as error:  # one bad image must not stop a run of days
            return f"{type(error).__name__}: {error}".replace("\n", " ")


# ---- workers


_work = None


def _start_worker(work, parent):
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    cv2.setNumThreads(1)
    with contextlib.suppress(AttributeError):  # not in every OpenCV; failures are listed anyway
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    threading.Thread(target=_exit_with, args=(parent,), daemon=True).start()


def _exit_with(parent):
    """A killed parent cannot tell its workers to stop, and they would wait for work for ever."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _run_work(path):
    return _work(path)


def usable_cores():
    """Cores that this process may use (a batch system may grant fewer than there are)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _ordered_results(paths, work, workers):
    """Results of ``work`` in the order of ``paths``, computed by ``workers`` processes."""
    if workers == 1:
        yield from map(work, paths)
        return
    paths = iter(paths)
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context(),
        initializer=_start_worker,
        initargs=(work, os.getpid()),
    )
    try:
        # A window of tasks bounds the memory, and keeps the workers busy behind a slow image.
        pending = collections.deque(
            pool.submit(_run_work, path) for path in itertools.islice(paths, workers * 16)
        )
        while pending:
            yield pending.popleft().result()
            for path in itertools.islice(paths, 1):
                pending.append(pool.submit(_run_work, path))
    except BrokenProcessPool as error:
        raise RegionStoreError(
            "a worker process was killed (out of memory?); what is finished is kept: run the "
            f"same command again, perhaps with fewer than {workers} --workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


# ---- parts


class _Parts:
    """The finished chunks of a run."""

    def __init__(self, folder):
        self.folder = folder

    def path(self, number):
        return self.folder / f"part-{number:06d}.arrow"

    def is_done(self, number):
        try:
            RegionStore(self.path(number))
        except RegionStoreError:
            return False
        return True

    def write(self, number, results):
        rows = [row for row in results.values() if not isinstance(row, str)]
        failures = [(p, reason) for p, reason in results.items() if isinstance(reason, str)]
        # Unencodable names travel as their escaped form.
        failures = [(p.encode("utf-8", "backslashreplace").decode(), r) for p, r in failures]
        write_store(self.path(number), rows, dict(failures=failures))


@contextlib.contextmanager
def _open_parts(out, metadata, overwrite):
    """The parts folder of ``out``, locked against other runs and checked to be this run's."""
    folder = out.with_name(out.name + ".parts")
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RegionStoreError(
                f"{out}: another run is writing it; wait for that run or choose another --out"
            ) from None
        _check_run(folder, dict(metadata, chunk=CHUNK_IMAGES), overwrite)
        yield _Parts(folder)
    shutil.rmtree(folder)


def _check_run(folder, run, overwrite):
    record = folder / "run.json"
    text = json.dumps(run, sort_keys=True, indent=1)
    old_parts = list(folder.glob("part-*.arrow"))
    if old_parts and record.read_text() != text:
        if not overwrite:
            before = json.loads(record.read_text())
            changed = [key for key in run if before.get(key) != json.loads(text)[key]]
            raise RegionStoreError(
                f"{folder}: holds parts of a run with another {', '.join(changed)}; repeat the "
                "command of that run to finish it, or pass --overwrite (or remove the folder) "
                "to start afresh"
            )
        for part in old_parts:
            part.unlink()
    with atomic_path(record) as temporary:
        temporary.write_text(text)


def _propose_missing(parts, paths, work, workers, progress):
    """Compute the chunks that are not there; returns the number of images done."""
    chunks = range(-(-len(paths) // CHUNK_IMAGES))
    missing = [number for number in chunks if not parts.is_done(number)]
    todo = [_chunk(paths, number) for number in missing]
    total = sum(map(len, todo))
    workers = min(workers or usable_cores(), max(total, 1))
    results = _ordered_results(itertools.chain.from_iterable(todo), work, workers)
    bar = tqdm(
        total=len(paths),
        initial=len(paths) - total,
        unit="img",
        disable=not progress,
        smoothing=0.1,
        mininterval=0.1 if sys.stderr.isatty() else 30,  # a log file wants few lines
    )
    with contextlib.closing(results), bar:
        for number, chunk in zip(missing, todo):
            found = {}
            for path in chunk:
                found[path] = next(results)
                bar.update()
            parts.write(number, found)
    return total


def _chunk(paths, number):
    return paths[number * CHUNK_IMAGES : (number + 1) * CHUNK_IMAGES]


def _join(parts, out, num_images, metadata):
    """Join all parts into ``out``; returns the summary and the failures."""
    counts, failures = [], []

    def rows():
        for number in range(-(-num_images // CHUNK_IMAGES)):
            part = RegionStore(parts.path(number))
            failures.extend(part.metadata["failures"])
            for row in part:
                counts.append(len(row.boxes))
                yield row
        if not counts:
            raise RegionStoreError(
                f"none of the {num_images} images in {metadata['root']} could be used; the first: "
                f"{failures[0][0]}: {failures[0][1]}"
            )

    joined = parts.folder / "joined.arrow"
    write_store(joined, rows(), metadata)
    _write_failures(out.with_name(out.name + ".failures.txt"), failures)
    os.replace(joined, out)
    return summarise(counts, len(failures)), failures


def _write_failures(path, failures):
    if not failures:
        path.unlink(missing_ok=True)
        return
    with atomic_path(path) as temporary:
        lines = (f"{name}\t{reason}\n" for name, reason in failures)
        temporary.write_text("".join(lines), encoding="utf-8")


def summarise(counts, num_failures):
    """Figures of a run.

    Args:
        counts: number of boxes of each image in the file.
        num_failures: images left out.
    """
    counts = np.asarray(counts)
    return dict(
        images=len(counts),
        boxes=int(counts.sum()),
        boxes_per_image=float(counts.mean()),
        boxes_per_image_min=int(counts.min()),
        boxes_per_image_median=float(np.median(counts)),
        boxes_per_image_max=int(counts.max()),
        images_without_boxes=int((counts == 0).sum()),
        num_failures=num_failures,
    )
