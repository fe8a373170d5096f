import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mmregioncon.regions import (
    ReducedSegments,
    RegionRow,
    RegionStore,
    RegionStoreError,
    decode_labels,
    encode_labels,
    store,
    write_store,
)

from .helpers import make_image

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)


@settings(max_examples=50)
@given(st.sampled_from([4, 254, 255, 65534]).flatmap(
    lambda top: hnp.arrays(np.int32, SHAPES, elements=st.integers(-1, top))
))  # fmt: skip
def test_packing_keeps_any_label_map(labels):
    unpacked = decode_labels(encode_labels(labels))
    assert unpacked.dtype == np.int32
    np.testing.assert_array_equal(unpacked, labels)


@pytest.mark.parametrize("label", [-2, 65535])
def test_labels_that_cannot_be_packed(label):
    with pytest.raises(ValueError, match="-1 to 65534 can be kept"):
        encode_labels(np.full((2, 2), label, np.int32))


@pytest.mark.parametrize("part", [0.0, 0.1, 0.8])
def test_packed_labels_that_are_damaged(part):
    packed = encode_labels(np.arange(64 * 64, dtype=np.int32).reshape(64, 64))
    with pytest.raises(ValueError, match="not a packed label map"):
        decode_labels(packed[: int(len(packed) * part)])


def test_segments_of_the_reduced_image():
    img = make_image(0, 300, 400)
    labels = ReducedSegments(long_side=100, min_size=10)(img)
    assert labels.shape == (75, 100) and labels.dtype == np.int32
    assert labels.min() == 0 and labels.max() > 0
    with pytest.raises(ValueError, match="long_side=1 of segments must be at least 2"):
        ReducedSegments(long_side=1)


def rows_with(segments):
    for i, packed in enumerate(segments):
        yield RegionRow(f"{i}.jpg", 9, 9, np.zeros((0, 4)), np.zeros(0), packed)


def test_segments_in_a_store(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "BATCH_ROWS", 2)
    segments = [b"one", b"", b"three"]
    write_store(tmp_path / "with", rows_with(segments), {})
    assert [row.segments for row in RegionStore(tmp_path / "with")] == segments
    write_store(tmp_path / "without", rows_with([None] * 3), {})
    assert [row.segments for row in RegionStore(tmp_path / "without")] == [None] * 3
    assert "segments" not in pa.ipc.open_file(str(tmp_path / "without")).schema.names


@pytest.mark.parametrize("segments", [[b"one", None], [None, b"two"]])
def test_segments_of_some_rows_only(tmp_path, segments):
    with pytest.raises(RegionStoreError, match="'1.jpg': either all rows .* have segments or none"):
        write_store(tmp_path / "r", rows_with(segments), {})
    assert not (tmp_path / "r").exists()
