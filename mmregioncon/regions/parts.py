"""Finished images of a run in small region files, which a run that is repeated finds again."""

import contextlib
import fcntl
import itertools
import os
import sys

from tqdm import tqdm

from .atomic import atomic_path
from .store import RegionStore, RegionStoreError, write_store
from .workers import ordered_results, usable_cores

CHUNK_IMAGES = 256  # at most so many are lost when a run is killed


@contextlib.contextmanager
def only_writer(out):
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


def remove_parts(folder):
    """Remove the parts in a folder of :func:`only_writer`."""
    for part in folder.glob("part-*"):
        part.unlink()


def differences(store, metadata):
    """Keys of ``metadata`` that a region file has otherwise, or not at all."""
    return [key for key, value in metadata.items() if store.metadata.get(key) != value]


def is_done(out, metadata):
    """Whether ``out`` is there; a file of something else is an error."""
    if not out.exists():
        return False
    try:
        changed = differences(RegionStore(out), metadata)
    except RegionStoreError as error:
        raise RegionStoreError(f"{out}: exists already; --overwrite replaces it. {error}") from None
    if changed:
        raise RegionStoreError(
            f"{out}: exists already, and was made with another {', '.join(changed)}; pass "
            "--overwrite to replace it, or choose another --out"
        )
    return True


class Parts:
    """The parts of a run.

    Attributes:
        images: ``{file of the part: its images}``, in order.
    """

    def __init__(self, folder, paths, metadata, overwrite):
        size = CHUNK_IMAGES // 2
        self.folder, self.overwrite = folder, overwrite
        self.metadata = dict(metadata, part_size=size)
        starts = range(0, len(paths), size)
        self.ahead = CHUNK_IMAGES - size
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
        ahead = max(self.ahead, 2 * workers)
        results = ordered_results(
            itertools.chain.from_iterable(todo.values()), work, workers, ahead
        )
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
            changed = differences(RegionStore(part), self.metadata)
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


def _write_part(part, results, metadata):
    rows = [row for row in results.values() if not isinstance(row, str)]
    failures = [(p, reason) for p, reason in results.items() if isinstance(reason, str)]
    # Unencodable names travel as their escaped form.
    failures = [(p.encode("utf-8", "backslashreplace").decode(), r) for p, r in failures]
    write_store(part, rows, dict(metadata, failures=failures))


def join(sources, folder, out, metadata):
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
