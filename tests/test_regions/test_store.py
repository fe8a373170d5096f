import multiprocessing
import pickle

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmregioncon.regions import RegionRow, RegionStore, RegionStoreError, store, write_store


def make_rows(num, seed=0):
    rng = np.random.default_rng(seed)
    for i in range(num):
        count = i % 4
        boxes = rng.random((count, 4), np.float32) * 50
        yield RegionRow(f"dir/é{i}.jpg", 100 + i, 200 + i, boxes, rng.random(count, np.float32))


def assert_same_row(got, wanted):
    assert got[:3] == wanted[:3] and got.segments == wanted.segments
    for a, b in zip(got[3:5], wanted[3:5]):
        assert a.dtype == np.float32
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(store, "BATCH_ROWS", 4)


@pytest.mark.parametrize("num", [0, 1, 4, 5, 11])
def test_round_trip(tmp_path, small_batches, num):
    rows = list(make_rows(num))
    assert write_store(tmp_path / "a.arrow", iter(rows), dict(root="/data", note=1)) == num
    regions = RegionStore(tmp_path / "a.arrow")
    assert len(regions) == num
    assert regions.metadata["note"] == 1
    for got, wanted in zip(regions, rows):
        assert_same_row(got, wanted)
    for index in (num, -num - 1):
        with pytest.raises(IndexError):
            regions[index]


@settings(max_examples=25)
@given(st.lists(st.integers(0, 5), max_size=12), st.integers(1, 5))
def test_any_box_counts_and_batches(tmp_path_factory, counts, batch_rows):
    path = tmp_path_factory.mktemp("store") / "a.arrow"
    rows = [
        RegionRow(str(i), 1, 1, np.full((n, 4), i, np.float32), np.full(n, i, np.float32))
        for i, n in enumerate(counts)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "BATCH_ROWS", batch_rows)
        write_store(path, rows, {})
    regions = RegionStore(path)
    for i in reversed(range(len(rows))):
        assert_same_row(regions[i - len(rows)], rows[i])


def test_rows_are_writable_copies(tmp_path):
    write_store(tmp_path / "a.arrow", make_rows(3), {})
    regions = RegionStore(tmp_path / "a.arrow")
    regions[np.int64(2)].boxes[:] = -1
    assert (regions[2].boxes >= 0).all()


@pytest.mark.parametrize(
    ("kept", "override", "wanted"),
    [
        ("/data", None, "/data/dir/é0.jpg"),
        ("/data", "/other", "/other/dir/é0.jpg"),
        ("images", None, "{tmp}/images/dir/é0.jpg"),
    ],
)
def test_image_file(tmp_path, kept, override, wanted):
    write_store(tmp_path / "a.arrow", make_rows(1), dict(root=kept))
    regions = RegionStore(tmp_path / "a.arrow", root=override)
    assert regions.image_file(0) == wanted.format(tmp=tmp_path)


def test_pickle_and_fork(tmp_path):
    write_store(tmp_path / "a.arrow", make_rows(5), dict(root="/a"))
    regions = RegionStore(tmp_path / "a.arrow", root="/b")
    copy = pickle.loads(pickle.dumps(regions))
    assert copy.image_file(3) == "/b/dir/é3.jpg"
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert_same_row(pool.apply_async(regions.__getitem__, (3,)).get(120), regions[3])


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9, 0.999])
def test_cut_short(tmp_path, part):
    path = tmp_path / "a.arrow"
    write_store(path, make_rows(50), {})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(RegionStoreError, match=r"a\.arrow.*cut short.*generate_regions"):
        RegionStore(path)


def test_other_files(tmp_path, monkeypatch):
    with pytest.raises(RegionStoreError, match=r"none\.arrow: no such region file"):
        RegionStore(tmp_path / "none.arrow")
    table = pa.table({"x": [1]})
    with (
        pa.OSFile(str(tmp_path / "x.arrow"), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as w,
    ):
        w.write_table(table)
    with pytest.raises(RegionStoreError, match="not a region file"):
        RegionStore(tmp_path / "x.arrow")
    monkeypatch.setattr(store, "FORMAT_VERSION", 99)
    write_store(tmp_path / "new.arrow", make_rows(1), {})
    monkeypatch.undo()
    with pytest.raises(RegionStoreError, match="region format 99"):
        RegionStore(tmp_path / "new.arrow")


@pytest.mark.parametrize("text", ["{broken", "[1]", '{"version": 1}'])
def test_damaged_metadata(tmp_path, text):
    schema = store.SCHEMA.with_metadata({store._KEY: text.encode()})
    with pa.OSFile(str(tmp_path / "x.arrow"), "wb") as sink, pa.ipc.new_file(sink, schema):
        pass
    with pytest.raises(RegionStoreError, match=r"x\.arrow: its metadata are damaged"):
        RegionStore(tmp_path / "x.arrow")


@pytest.mark.parametrize(
    ("boxes", "scores", "message"),
    [
        (np.zeros((2, 3)), np.zeros(2), "wanted"),
        (np.zeros((2, 4)), np.zeros(3), "wanted"),
        (np.full((1, 4), np.nan), np.zeros(1), "finite"),
    ],
)
def test_bad_rows_leave_the_old_file(tmp_path, boxes, scores, message):
    path = tmp_path / "a.arrow"
    write_store(path, make_rows(2), {})
    with pytest.raises(RegionStoreError, match=rf"bad\.jpg.*{message}"):
        write_store(path, [RegionRow("bad.jpg", 1, 1, boxes, scores)], {})
    assert len(RegionStore(path)) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["a.arrow"]


def test_same_rows_give_the_same_bytes(tmp_path):
    for name in "ab":
        write_store(tmp_path / name, make_rows(9), dict(root="/x", b=1, a=2))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
