"""Processes that turn images into rows of a region file, and their results in order."""

import collections
import contextlib
import errno
import itertools
import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2
import numpy as np

from mmregioncon.utils.opencv import pin_opencv

from .filters import clip_to_image
from .images import read_image
from .proposers import path_seed
from .segments import encode_labels
from .store import RegionRow, RegionStoreError

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


class ImageWork:
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


def ordered_results(paths, work, workers, ahead):
    """Results of ``work`` in the order of ``paths``, computed by ``workers`` processes.

    The workers may be ``ahead`` by so many images, which keeps them busy behind a slow one.
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
