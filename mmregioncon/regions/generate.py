"""Propose regions for many images: parallel, resumable, the same bytes every time.

Images are taken in a fixed order. Finished ones are kept in small region files in
``<out>.parts/``, and joined into ``out`` when all are there. Parts, shards and the result are made
by one function, written atomically, and carry what they were made with and the images left out:
a run that is repeated finds what it has done, and refuses what others have.
"""

import collections
import contextlib
import errno
import fcntl
import hashlib
import itertools
import json
import multiprocessing
import os
import re
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
from mmregioncon.utils.opencv import one_opencv_thread, pin_opencv
from mmregioncon.version import __version__

from .atomic import atomic_path
from .filters import build_filter, clip_to_image
from .images import read_image
from .proposers import path_seed
from .segments import ReducedSegments, encode_labels
from .store import RegionRow, RegionStore, RegionStoreError, write_store
from .validate import box_problems

CHUNK_IMAGES = 256  # at most so many are lost when a run is killed
_ERRORS_OF_A_FILE = (
    None,  # raised by a library, of the content
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
)

PROPOSERS = {
    "selective_search": dict(type="SelectiveSearch", mode="fast"),
    "selective_search_quality": dict(type="SelectiveSearch", mode="quality"),
    "fast_search": dict(type="FastSearch"),
    "felzenszwalb": dict(type="FelzenszwalbRegions"),
    "grid": dict(type="GridRegions"),
    "random": dict(type="RandomRegions"),
    "coco": dict(type="CocoRegions"),
}


def generate_regions(
    images,
    out,
    proposer,
    filter_cfg=None,
    segments=None,
    shard=(0, 1),
    workers=None,
    overwrite=False,
    progress=True,
    max_failures=1000,
):
    """Propose regions for a list of images and write them to a region file.

    A run that was killed is finished by the same call.

    Args:
        images: :class:`ImageList`.
        out: the region file. Unreadable images are listed in ``<out>.failures.txt``.
        proposer: config of a proposer in ``REGION_PROPOSERS``.
        filter_cfg: config for :func:`build_filter`; by default all boxes stay.
        segments: arguments of :class:`ReducedSegments` to keep a label map of each image too.
        shard: ``(index, count)``: do this one of ``count`` shares of the images, and write
            :func:`shard_path` instead of ``out``. :func:`merge_shards` joins them.
        workers: processes; by default one for each usable core. The result does not depend on it.
        overwrite: replace ``out`` if it exists, and drop parts of other parameters.
        progress: show a progress bar.
        max_failures: unreadable images that are left out before the run stops.

    Returns:
        dict: the summary (see :func:`summarise`), with ``failures`` as ``(path, reason)`` pairs.

    Raises:
        RegionStoreError: ``out`` or parts of it are there and of other parameters, another run is
            writing it, it cannot be written, no image or too few could be read, or the machine
            fails (disk, network, memory).
        ValueError: the proposer, filter or segments cannot be built, or ``shard`` is none.
    """
    filter_cfg = dict(filter_cfg or dict(type="none"))
    work = _ImageWork(
        images.root,
        _build("--proposer-args", REGION_PROPOSERS.build, dict(proposer)),
        build_filter(filter_cfg),
        None if segments is None else _build("--segments-args", _reduced_segments, segments),
    )
    metadata = _metadata(images, proposer, filter_cfg, segments, shard, work.proposer)
    paths, out = _share(images.paths, *shard), shard_path(out, *shard)
    started, done = time.time(), 0
    with one_opencv_thread(), _only_writer(out) as folder:
        if overwrite or not _is_done(out, metadata):
            parts = _Parts(folder, paths, metadata, overwrite)
            done = parts.propose(work, workers, progress, max_failures)
            _join(list(parts.images), folder, out, metadata)
        _remove_parts(folder)
    seconds = time.time() - started
    return dict(summarise(out), seconds=seconds, images_per_s=done / seconds, images_this_run=done)


def shard_path(out, index, count):
    """The file of shard ``index`` of ``count``: beside ``out``; a single shard is ``out``."""
    out = Path(out)
    if count == 1:
        return out
    return out.with_name(f"{out.stem}.shard-{index:04d}-of-{count:04d}{out.suffix}")


def merge_shards(out, overwrite=False, progress=True):
    """Join the shards of ``out``: the same bytes as if there had been one process.

    The shards stay; they are not needed any more.

    Args:
        out: the region file that the shards were made for.
        overwrite: replace ``out`` if it exists.
        progress: show a progress bar.

    Returns:
        dict: the summary, with ``failures`` as ``(path, reason)`` pairs.

    Raises:
        RegionStoreError: a shard is missing, damaged, made with other parameters than the first
            one or holds an image of another; ``out`` exists, or another run is writing it.
    """
    out = Path(out)
    shards = _find_shards(out)
    metadata = _common_metadata(shards)
    with _only_writer(out) as folder:
        if overwrite or not _is_done(out, metadata):
            _check_rows(shards, progress)
            _join([shard.path for shard in shards], folder, out, metadata)
    return summarise(out)


def _build(option, build, cfg):
    try:
        return build(cfg)
    except TypeError as error:  # an unknown or missing argument
        raise ValueError(f"{option}: {error}") from error


def _reduced_segments(cfg):
    return ReducedSegments(**cfg)


def _metadata(images, proposer, filter_cfg, segments, shard, built):
    """What decides the result, as a JSON keeps it."""
    metadata = dict(
        root=images.root,
        images=hashlib.sha256("\n".join(images.paths).encode("utf-8", "replace")).hexdigest(),
        num_images=len(images.paths),
        proposer=dict(proposer),
        proposer_digest=getattr(built, "digest", None),
        filter=filter_cfg,
        segments=segments,
        mmregioncon=__version__,
        opencv=cv2.__version__,
        **(dict(shard=shard) if shard[1] > 1 else {}),
    )
    return json.loads(json.dumps(metadata))


def _share(paths, index, count):
    if not 0 <= index < count <= len(paths):
        raise ValueError(
            f"--shard {index}/{count}: wanted I/N with I from 0 to N - 1, and N at most the "
            f"number of images, {len(paths)}"
        )
    return paths[len(paths) * index // count : len(paths) * (index + 1) // count]


class _ImageWork:
    """What a worker does with an image."""

    def __init__(self, root, proposer, region_filter, segment):
        self.root, self.proposer, self.region_filter = root, proposer, region_filter
        self.segment = segment

    def __call__(self, path):
        """Give the image's row, or the reason why there is none, as a string."""
        try:
            path.encode("utf-8")
            img = read_image(Path(self.root, path))
            boxes, scores = clip_to_image(*self.proposer(img, path), img.shape[:2])
            rng = np.random.default_rng(path_seed(path))
            boxes, scores = self.region_filter(boxes, scores, img.shape[:2], rng)
            segments = self.segment and encode_labels(self.segment(img))
            return RegionRow(path, *img.shape[:2], boxes, scores, segments)
        except UnicodeEncodeError:
            return "its name is not UTF-8; rename it"
        except Exception as error:  # one bad image must not stop a run of days
            reason = f"{type(error).__name__}: {error}".replace("\n", " ")
            if _is_of_the_machine(error):
                raise RegionStoreError(
                    f"{Path(self.root, path)}: {reason}. That is the machine's trouble, not the "
                    "image's; what is finished is kept: run the same command again when it is "
                    "over. Should it stay, put an empty file in the image's place to leave it out"
                ) from error
            return reason


def _is_of_the_machine(error):
    """Whether another attempt may succeed: no memory, a disk or network that fails."""
    if isinstance(error, OSError):
        return error.errno not in _ERRORS_OF_A_FILE
    return isinstance(error, MemoryError)


# ---- workers


_work = None


def _start_worker(work):
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    pin_opencv()
    with contextlib.suppress(AttributeError):  # not in every OpenCV; failures are listed anyway
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent():
    """A killed parent cannot tell its workers to stop, and they would wait for work for ever."""
    multiprocessing.parent_process().join()  # os.getppid() may be the fork server
    os._exit(1)


def _run_work(path):
    return _work(path)


def usable_cores():
    """Cores that this process may use (a batch system may grant fewer than there are)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _ordered_results(paths, work, workers):
    """Results of ``work`` in the order of ``paths``, computed by ``workers`` processes.

    The workers are ahead by what a part does not take of a chunk: that keeps them busy behind a
    slow image. (More than 64 need more.)
    """
    if workers == 1:
        yield from map(work, paths)
        return
    paths = iter(paths)
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context(),
        initializer=_start_worker,
        initargs=(work,),
    )
    try:
        ahead = max(CHUNK_IMAGES - _part_size(), 2 * workers)
        pending = collections.deque(
            pool.submit(_run_work, path) for path in itertools.islice(paths, ahead)
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


# ---- parts, shards and their result


@contextlib.contextmanager
def _only_writer(out):
    """The folder of ``out``'s parts, locked against other runs; it goes when no part is in it."""
    folder = out.with_name(out.name + ".parts")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with open(folder / "lock", "w") as lock:
            if not _is_locked(lock):
                raise RegionStoreError(
                    f"{out}: another run is writing it; wait for that run or choose another --out"
                )
            try:
                yield folder
            finally:
                if not any(folder.glob("part-*")):
                    for path in list(folder.iterdir()):  # the lock too, while it is still ours
                        path.unlink(missing_ok=True)
    finally:
        with contextlib.suppress(OSError):  # not empty: there are parts, or another run's lock
            folder.rmdir()


def _is_locked(file):
    """Lock the file; false if another process has it, or has removed it."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file.fileno()), os.stat(file.name))
    except (BlockingIOError, FileNotFoundError):
        return False


def _remove_parts(folder):
    for part in folder.glob("part-*"):
        part.unlink()


def _differences(store, metadata):
    return [key for key, value in metadata.items() if store.metadata.get(key) != value]


def _is_done(out, metadata):
    """Whether ``out`` is there; a file of something else is an error."""
    if not out.exists():
        return False
    try:
        changed = _differences(RegionStore(out), metadata)
    except RegionStoreError as error:
        raise RegionStoreError(f"{out}: exists already; --overwrite replaces it. {error}") from None
    if changed:
        raise RegionStoreError(
            f"{out}: exists already, and was made with another {', '.join(changed)}; pass "
            "--overwrite to replace it, or choose another --out"
        )
    return True


class _Parts:
    """The parts of a run.

    Attributes:
        images: ``{file of the part: its images}``, in order.
    """

    def __init__(self, folder, paths, metadata, overwrite):
        size = _part_size()
        self.folder, self.overwrite = folder, overwrite
        self.metadata = dict(metadata, part_size=size)
        starts = range(0, len(paths), size)
        self.images = {
            folder / f"part-{number:06d}.arrow": paths[start : start + size]
            for number, start in enumerate(starts)
        }

    def propose(self, work, workers, progress, max_failures):
        """Compute the parts that are not there; returns the number of images done."""
        todo = {part: paths for part, paths in self.images.items() if not self._is_done(part)}
        done = (RegionStore(part) for part in self.images if part not in todo)
        failures = sum(len(store.metadata["failures"]) for store in done)
        missing = sum(map(len, todo.values()))
        total = sum(map(len, self.images.values()))
        workers = min(workers or usable_cores(), max(missing, 1))
        results = _ordered_results(itertools.chain.from_iterable(todo.values()), work, workers)
        bar = tqdm(
            desc=self.folder.stem,
            total=total,
            initial=total - missing,
            unit="img",
            disable=not progress,
            smoothing=0.1,
            mininterval=0.1 if sys.stderr.isatty() else 30,  # a log file wants few lines
        )
        with contextlib.closing(results), bar:
            for part, paths in todo.items():
                found = {}
                for path in paths:
                    found[path] = result = next(results)
                    bar.update()
                    failures += isinstance(result, str)
                    if failures > max_failures:
                        raise _too_many(failures, path, result)
                _write_part(part, found, self.metadata)
        return missing

    def _is_done(self, part):
        try:
            changed = _differences(RegionStore(part), self.metadata)
        except RegionStoreError:  # missing, or the machine died
            return False
        if changed and not self.overwrite:
            raise RegionStoreError(
                f"{self.folder}: holds parts of a run with another {', '.join(changed)}; repeat "
                "the command of that run to finish it, or pass --overwrite (or remove the folder) "
                "to start afresh"
            )
        return not changed


def _too_many(failures, path, reason):
    return RegionStoreError(
        f"{failures} images could not be used, the last: {path}: {reason}. Raise --max-failures "
        "and run the same command again to go on; if they can be repaired, repair them and add "
        "--overwrite"
    )


def _part_size():
    return CHUNK_IMAGES // 2


def _write_part(part, results, metadata):
    rows = [row for row in results.values() if not isinstance(row, str)]
    failures = [(p, reason) for p, reason in results.items() if isinstance(reason, str)]
    # Unencodable names travel as their escaped form.
    failures = [(p.encode("utf-8", "backslashreplace").decode(), r) for p, r in failures]
    write_store(part, rows, dict(metadata, failures=failures))


def _find_shards(out):
    """The stores of all shards of ``out``, in order."""
    name = re.compile(rf"{re.escape(out.stem)}\.shard-\d+-of-(\d+){re.escape(out.suffix)}")
    found = sorted(path for path in out.parent.glob("*.shard-*") if name.fullmatch(path.name))
    if not found:
        raise RegionStoreError(
            f"{out}: no shard of it ({shard_path(out, 0, 8).name}, ...) is in {out.parent}; run "
            "tools/generate_regions.py with --shard, torchrun or srun first, with the same --out"
        )
    counts = {int(name.fullmatch(path.name)[1]) for path in found}
    if len(counts) > 1:
        raise RegionStoreError(
            f"{out}: there are shards of several runs, {found[0].name} and {found[-1].name}, that "
            "share the images in other ways; remove those of one run"
        )
    count = counts.pop()
    wanted = [shard_path(out, index, count) for index in range(count)]
    for index, path in enumerate(wanted):
        if path not in found:
            raise RegionStoreError(
                f"{path}: this shard is missing; make it with --shard {index}/{count} and the "
                "options of the others"
            )
    return list(map(RegionStore, wanted))


def _common_metadata(shards):
    """What the result was made with, which all shards must share."""
    own = ("shard", "failures", "version", "batch_rows")
    metadata = {key: value for key, value in shards[0].metadata.items() if key not in own}
    for index, shard in enumerate(shards):
        expected = [index, len(shards)]
        changed = _differences(shard, dict(metadata, shard=expected))
        if changed:
            raise RegionStoreError(
                f"{shard.path}: made with another {', '.join(changed)} than "
                f"{shards[0].path}; remove it and make it again with --shard {index}/{len(shards)} "
                "and the options of the others"
            )
    return metadata


def _check_rows(shards, progress):
    """Each image once, with boxes that fit it, and none forgotten."""
    owners = {}
    total = sum(map(len, shards))
    rows = ((shard.path, row) for shard in shards for row in shard)
    for path, row in tqdm(rows, "checking", total, unit="img", disable=not progress):
        other = owners.setdefault(row.img_path, path)
        problems = box_problems(row)
        if other is not path:
            problems.append(f"{other} has this image too")
        if problems:
            raise RegionStoreError(
                f"{path}: {row.img_path}: {'; '.join(problems)}. Remove the shard and make it again"
            )
    known = total + sum(len(shard.metadata["failures"]) for shard in shards)
    wanted = shards[0].metadata["num_images"]
    if known != wanted:
        raise RegionStoreError(
            f"{shards[0].path} and the other shards hold {known} images, not {wanted}; remove them "
            "and make them again"
        )


def _join(sources, folder, out, metadata):
    """Join the parts or shards in the files ``sources`` into ``out``."""
    num_rows, failures = 0, []
    for store in map(RegionStore, sources):
        num_rows += len(store)
        failures += store.metadata["failures"]
    if not num_rows and "shard" not in metadata:
        raise RegionStoreError(
            f"none of the {len(failures)} images in {metadata['root']} could be used; the first: "
            f"{failures[0][0]}: {failures[0][1]}"
        )
    joined = folder / "joined.arrow"
    rows = itertools.chain.from_iterable(map(RegionStore, sources))
    write_store(joined, rows, dict(metadata, failures=failures))
    _write_failures(out.with_name(out.name + ".failures.txt"), failures)
    os.replace(joined, out)


def _write_failures(path, failures):
    if not failures:
        path.unlink(missing_ok=True)
        return
    with atomic_path(path) as temporary:
        lines = (f"{name}\t{reason}\n" for name, reason in failures)
        temporary.write_text("".join(lines), encoding="utf-8")


def summarise(path):
    """Figures of a region file that :func:`generate_regions` made, and its ``failures``."""
    store = RegionStore(path)
    counts = store.box_counts()
    shown = counts if len(counts) else np.zeros(1, int)  # a shard of nothing but bad images
    return dict(
        images=len(counts),
        boxes=int(counts.sum()),
        boxes_per_image=float(shown.mean()),
        boxes_per_image_min=int(shown.min()),
        boxes_per_image_median=float(np.median(shown)),
        boxes_per_image_max=int(shown.max()),
        images_without_boxes=int((counts == 0).sum()),
        num_failures=len(store.metadata["failures"]),
        failures=store.metadata["failures"],
    )
