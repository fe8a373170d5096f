"""RegionStore: the regions of a data set in one memory-mapped Arrow file.

The file is an uncompressed Arrow IPC file. Its schema metadata carries, as JSON, the format
version, the root of the images and how the regions were made. All record batches but the last
hold ``batch_rows`` rows, so that a row is found by arithmetic and opening reads the footer only.
A column of label maps (``segments``) is there if the rows have them.
"""

import itertools
import json
import operator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from .atomic import atomic_path

FORMAT_VERSION = 1
BATCH_ROWS = 4096
SCHEMA = pa.schema(
    [
        pa.field("img_path", pa.string(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("boxes", pa.list_(pa.list_(pa.float32(), 4)), nullable=False),
        pa.field("scores", pa.list_(pa.float32()), nullable=False),
    ]
)
SEGMENTS = pa.field("segments", pa.binary(), nullable=False)
_KEY = b"mmregioncon.regions"


class RegionStoreError(ValueError):
    """A region file is missing, damaged, of another kind or cannot be written."""


class RegionRow(NamedTuple):
    """An image and its regions.

    Attributes:
        img_path: path of the image relative to the store's root, with forward slashes.
        height: rows of the image as mmcv's default loader decodes it (EXIF applied).
        width: columns of that image.
        boxes: ``(K, 4)`` float32 xyxy in that image's pixel frame (edges, no "+1").
        scores: ``(K,)`` float32, the higher the better.
        segments: label map of the image as :func:`encode_labels` packs it, or ``None``.
    """

    img_path: str
    height: int
    width: int
    boxes: np.ndarray
    scores: np.ndarray
    segments: bytes | None = None


class RegionStore:
    """Random access to the rows of a region file, at no memory per row.

    The file is memory-mapped: processes on a machine share its pages. A store may be pickled
    (it reopens the file) and used after a fork.

    Args:
        path: file written by :func:`write_store` or ``tools/generate_regions.py``.
        root: folder of the images; overrides the root kept in the file. A relative root in
            the file is taken from the folder of the file.

    Raises:
        RegionStoreError: the file is missing, not a region file, cut short, or of another
            format version.
    """

    def __init__(self, path, root=None):
        self.path = str(path)
        self._root_override = None if root is None else str(root)
        self._open()

    def _open(self):
        if not Path(self.path).is_file():
            raise RegionStoreError(
                f"{self.path}: no such region file; make it with tools/generate_regions.py"
            )
        try:
            self._reader = pa.ipc.open_file(pa.memory_map(self.path))
            self.metadata = self._read_metadata()
            self._num_batches = self._reader.num_record_batches
            self._views = [None] * self._num_batches
            self._batch_rows = self.metadata["batch_rows"]
            self._length = 0
            if self._num_batches:
                last_rows = self._reader.get_batch(self._num_batches - 1).num_rows
                self._length = (self._num_batches - 1) * self._batch_rows + last_rows
        except (pa.ArrowException, OSError) as error:
            raise RegionStoreError(
                f"{self.path}: not a complete Arrow file ({error}); it was cut short or is "
                "something else: copy it again, or run tools/generate_regions.py"
            ) from error
        root = self._root_override
        if root is None:
            root = Path(self.path).parent / self.metadata.get("root", "")
        self.root = str(root)

    def _read_metadata(self):
        schema = self._reader.schema
        if _KEY not in (schema.metadata or {}):
            raise RegionStoreError(
                f"{self.path}: an Arrow file, but not a region file; make one with "
                "tools/generate_regions.py"
            )
        metadata = self._parse(schema.metadata[_KEY])
        known = schema.equals(SCHEMA) or schema.equals(SCHEMA.append(SEGMENTS))
        if metadata.get("version") != FORMAT_VERSION or not known:
            raise RegionStoreError(
                f"{self.path}: region format {metadata.get('version')}, this version of "
                f"MMRegionCon reads {FORMAT_VERSION}: make the file again with "
                "tools/generate_regions.py"
            )
        if not metadata.get("batch_rows"):
            raise self._damaged("'batch_rows' is missing")
        return metadata

    def _parse(self, text):
        try:
            metadata = json.loads(text)
        except ValueError as error:
            raise self._damaged(error) from error
        if not isinstance(metadata, dict):
            raise self._damaged("not a dict")
        return metadata

    def _damaged(self, reason):
        return RegionStoreError(
            f"{self.path}: its metadata are damaged ({reason}): make the file again with "
            "tools/generate_regions.py"
        )

    def __getstate__(self):
        return self.path, self._root_override

    def __setstate__(self, state):
        self.path, self._root_override = state
        self._open()

    def __len__(self):
        return self._length

    def __getitem__(self, index):
        """Row ``index`` as a :class:`RegionRow`; its arrays are copies and may be changed."""
        view, row = self._locate(index)
        start, end = view.box_offsets[row], view.box_offsets[row + 1]
        return RegionRow(
            img_path=view.path(row),
            height=int(view.heights[row]),
            width=int(view.widths[row]),
            boxes=view.boxes[start:end].copy(),
            scores=view.scores[start:end].copy(),
            segments=view.segments and view.segments[row],
        )

    def image_file(self, index):
        """Path of row ``index``'s image, under the root."""
        view, row = self._locate(index)
        return str(Path(self.root, view.path(row)))

    def box_counts(self):
        """Number of boxes of each row, ``(len,)`` int."""
        views = map(self._view, range(self._num_batches))
        return np.concatenate([np.zeros(0, int), *(np.diff(view.box_offsets) for view in views)])

    def has_boxes(self):
        """Whether any row has a box."""
        return bool(self.box_counts().any())

    def _locate(self, index):
        index = operator.index(index)
        if index < 0:
            index += self._length
        if not 0 <= index < self._length:
            raise IndexError(f"{self.path} has {self._length} rows")
        number, row = divmod(index, self._batch_rows)
        return self._view(number), row

    def _view(self, number):
        if self._views[number] is None:
            self._views[number] = _BatchView(self._reader.get_batch(number))
        return self._views[number]


class _BatchView:
    """NumPy views of a record batch's columns: no copy, nothing per row."""

    def __init__(self, batch):
        paths, heights, widths, boxes, scores, *segments = batch.columns
        self._paths = _Bytes(paths)
        self.heights = heights.to_numpy()
        self.widths = widths.to_numpy()
        self.box_offsets = boxes.offsets.to_numpy()
        self.boxes = boxes.values.values.to_numpy().reshape(-1, 4)
        self.scores = scores.values.to_numpy()
        self.segments = _Bytes(*segments) if segments else None

    def path(self, row):
        return self._paths[row].decode()


class _Bytes:
    """A column of texts or bytes, each read as ``bytes``."""

    def __init__(self, column):
        _, offsets, data = column.buffers()
        self._offsets = np.frombuffer(offsets, np.int32)[: len(column) + 1]
        self._data = memoryview(data or b"")

    def __getitem__(self, row):
        return bytes(self._data[self._offsets[row] : self._offsets[row + 1]])


def write_store(path, rows, metadata):
    """Write a region file; it appears under ``path`` only when it is complete.

    Args:
        path: the file; one that exists is replaced.
        rows: iterable of :class:`RegionRow`, consumed once, never held as a whole.
        metadata: JSON-able dict; ``root`` is the folder of the images.

    Returns:
        int: the number of rows.

    Raises:
        RegionStoreError: a row's arrays have wrong shapes or values that are not finite, some rows
            have segments and others none, or the disk is full or cannot be written.
    """
    try:
        return _write(Path(path), iter(rows), dict(metadata, version=FORMAT_VERSION))
    except OSError as error:
        raise RegionStoreError(
            f"{path}: cannot be written ({error}); nothing of it is left under this name. Make "
            "room there (or choose another place), then run the same command again"
        ) from error


def _write(path, rows, header):
    first = list(itertools.islice(rows, 1))
    segmented = bool(first) and first[0].segments is not None
    schema = SCHEMA.append(SEGMENTS) if segmented else SCHEMA
    header = json.dumps(dict(header, batch_rows=BATCH_ROWS), sort_keys=True)
    schema = schema.with_metadata({_KEY: header.encode()})
    checked = (_checked(row, segmented) for row in itertools.chain(first, rows))
    count = 0
    with (
        atomic_path(path) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, schema) as writer,
    ):
        while batch := list(itertools.islice(checked, BATCH_ROWS)):
            writer.write_batch(_record_batch(batch, schema))
            count += len(batch)
    return count


def _checked(row, segmented):
    boxes = np.asarray(row.boxes, dtype=np.float32)
    scores = np.asarray(row.scores, dtype=np.float32)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or scores.shape != boxes.shape[:1]:
        raise RegionStoreError(
            f"row of {row.img_path!r}: boxes {boxes.shape} and scores {scores.shape}, "
            "wanted (K, 4) and (K,)"
        )
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise RegionStoreError(f"row of {row.img_path!r}: boxes or scores are not finite")
    if (row.segments is not None) != segmented:
        raise RegionStoreError(
            f"row of {row.img_path!r}: either all rows of a region file have segments or none"
        )
    return row._replace(boxes=boxes, scores=scores)


def _record_batch(rows, schema):
    paths, heights, widths, boxes, scores, segments = zip(*rows)
    offsets = np.cumsum([0, *map(len, boxes)], dtype=np.int32)
    flat_boxes = pa.array(np.concatenate(boxes).ravel())
    columns = [
        pa.array(paths, pa.string()),
        pa.array(heights, pa.int32()),
        pa.array(widths, pa.int32()),
        pa.ListArray.from_arrays(offsets, pa.FixedSizeListArray.from_arrays(flat_boxes, 4)),
        pa.ListArray.from_arrays(offsets, pa.array(np.concatenate(scores))),
        pa.array(segments, pa.binary()),
    ]
    return pa.RecordBatch.from_arrays(columns[: len(schema)], schema=schema)
