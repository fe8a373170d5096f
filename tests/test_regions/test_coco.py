import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmregioncon.regions import (
    RegionRow,
    RegionStore,
    export_coco,
    import_coco,
    import_soco,
    read_coco,
    write_store,
)

from .helpers import make_image

IMAGES = [
    dict(id=3, file_name="x/a.png", height=50, width=100),
    dict(id=1, file_name="b.png", height=20, width=20),
]


def write_json(path, content):
    path.write_text(json.dumps(content))
    return path


def test_boxes_are_grouped_clipped_and_counted(tmp_path):
    annotations = [
        dict(image_id=1, bbox=[1, 1, 5, 5], score=0.5),
        dict(image_id=3, bbox=[-10, 10, 30, 100]),  # outside: clipped
        dict(image_id=3, bbox=[10, 10, 0, 5]),  # no area
        dict(image_id=3, bbox=[10, 10, -4, 5]),  # negative
        dict(image_id=3, bbox=[200, 0, 5, 5]),  # wholly outside
        dict(image_id=3, bbox=[0, 0, float("nan"), 5]),
        dict(image_id=3, bbox=[0, 0, 5, 5], iscrowd=1),
        dict(image_id=99, bbox=[0, 0, 5, 5]),
        dict(image_id=3, bbox=[0, 0, 100.2, 50]),  # rounding, not worth a count
    ]
    path = write_json(tmp_path / "a.json", dict(images=IMAGES, annotations=annotations))
    coco = read_coco(path)
    assert coco.counts == dict(clipped=1, degenerate=4, crowd=1, unknown_image=1)
    assert coco.row(0)[:3] == ("x/a.png", 50, 100)
    np.testing.assert_array_equal(coco.row(0).boxes, [[0, 10, 20, 50], [0, 0, 100, 50]])
    np.testing.assert_array_equal(coco.row(1).boxes, [[1, 1, 6, 6]])
    np.testing.assert_array_equal(coco.row(1).scores, [0.5])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (dict(annotations=[]), "no 'images' list"),
        (dict(images=IMAGES), "no 'annotations' list"),
        (dict(images=[dict(id=1)], annotations=[]), r"images\[0\] needs 'id' and 'file_name'"),
        (dict(images=[dict(id=1, file_name="a")], annotations=[]), "'a' needs 'height'"),
        (dict(images=IMAGES + IMAGES, annotations=[]), "same 'id'"),
        (dict(images=IMAGES, annotations=[dict(image_id=1)]), r"annotations\[0\] needs"),
        (dict(images=IMAGES, annotations=[dict(image_id=1, bbox=[1, 2, 3])]), "must be .x, y"),
        (dict(images=IMAGES, annotations=[dict(image_id=1, bbox=[1, 2, 3, "w"])]), "not a number"),
        (dict(images=IMAGES, annotations=[dict(image_id=8, bbox=[0, 0, 1, 1])]), "other images"),
        ([dict(image_id=1, bbox=[0, 0, 1, 1])], "list of detections has no image sizes"),
        ("text", "no 'annotations'|wanted"),
    ],
)
def test_errors_name_the_file(tmp_path, content, message):
    path = write_json(tmp_path / "bad.json", content)
    with pytest.raises(ValueError, match=rf"bad\.json.*({message})"):
        read_coco(path)


@pytest.mark.parametrize("content", [b"", b'{"images": [', b"\xff\xd8\xff"])
def test_not_json(tmp_path, content):
    (tmp_path / "bad.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.json: not JSON"):
        read_coco(tmp_path / "bad.json")


def test_detections_take_images_from_another_json(tmp_path):
    detections = write_json(
        tmp_path / "d.json", [dict(image_id=3, bbox=[1, 2, 3, 4], score=0.3, category_id=1)]
    )
    images = write_json(tmp_path / "i.json", dict(images=IMAGES))
    summary = import_coco(detections, tmp_path / "d.arrow", "/imgs", images_from=images)
    assert (summary["images"], summary["boxes"]) == (2, 1)
    regions = RegionStore(tmp_path / "d.arrow")
    assert regions.root == "/imgs"
    np.testing.assert_array_equal(regions[0].boxes, [[1, 2, 4, 6]])


def test_store_survives_a_round_trip(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for i in range(5):
        corners = np.sort(rng.random((i, 2, 2), np.float32) * 99, axis=1)
        rows.append(RegionRow(f"{i}.jpg", 100, 100, corners.reshape(-1, 4), rng.random(i, "f4")))
    write_store(tmp_path / "a.arrow", rows, dict(root="/r"))
    summary = export_coco(RegionStore(tmp_path / "a.arrow"), tmp_path / "a.json")
    assert summary == dict(images=5, boxes=10)
    import_coco(tmp_path / "a.json", tmp_path / "b.arrow", "/r")
    for row, again in zip(rows, RegionStore(tmp_path / "b.arrow")):
        assert row[:3] == again[:3]
        np.testing.assert_array_equal(row.boxes, again.boxes)
        np.testing.assert_array_equal(row.scores, again.scores)


def test_export_is_what_pycocotools_reads(tmp_path):
    from pycocotools.coco import COCO

    row = RegionRow("a.jpg", 10, 10, np.array([[1, 2, 4, 6]], "f4"), np.ones(1, "f4"))
    write_store(tmp_path / "a.arrow", [row], {})
    export_coco(RegionStore(tmp_path / "a.arrow"), tmp_path / "a.json")
    (annotation,) = COCO(tmp_path / "a.json").loadAnns(1)
    assert annotation["bbox"] == [1, 2, 3, 4]
    assert annotation["area"] == 12


def test_import_soco(tmp_path):
    for name in ("n01/n01_1.png", "n01/n01_2.png", "n02/twice.png", "n01/twice.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), make_image(0))
    content = {
        "n01_1": [[0, 0, 10, 20], [50, 40, 50, 50], [1, 1, 0, 3]],
        "n01_2.png": [],
        "twice": [[0, 0, 5, 5]],
        "gone": [[0, 0, 5, 5]],
    }
    path = write_json(tmp_path / "train.json", content)
    summary = import_soco(path, tmp_path, tmp_path / "s.arrow")
    assert [name for name, _ in summary.pop("failures")] == ["twice", "gone"]
    assert summary == dict(images=2, boxes=3, clipped=1, degenerate=1)
    regions = RegionStore(tmp_path / "s.arrow")
    assert [row.img_path for row in regions] == ["n01/n01_1.png", "n01/n01_2.png"]
    np.testing.assert_array_equal(regions[0].boxes, [[0, 0, 10, 20], [50, 40, 64, 48]])
    np.testing.assert_array_equal(regions[1].boxes, [[0, 0, 64, 48]])


@pytest.mark.parametrize("content", [[1], {"a": 3}, {"unknown": []}])
def test_import_soco_errors(tmp_path, content):
    cv2.imwrite(str(tmp_path / "x.png"), make_image(0))
    path = write_json(tmp_path / "train.json", content)
    with pytest.raises(ValueError, match=r"train\.json"):
        import_soco(path, tmp_path, tmp_path / "s.arrow")
    assert not (tmp_path / "s.arrow").exists()


@st.composite
def region_rows(draw):
    """Rows of images with unlike names, boxes inside of them."""
    names = draw(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), unique=True))
    rows = []
    for name in names:
        height, width = draw(st.tuples(*[st.integers(1, 5000)] * 2))
        x, y = (st.floats(0, side, width=32) for side in (width, height))
        corners = draw(st.lists(st.tuples(x, y, x, y), max_size=5))
        boxes = np.array(corners, np.float32).reshape(-1, 2, 2)
        boxes = np.concatenate([boxes.min(axis=1), boxes.max(axis=1)], axis=1)
        boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]
        scores = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False),
                          min_size=len(boxes), max_size=len(boxes))  # fmt: skip
        rows.append(RegionRow(name, height, width, boxes, np.array(draw(scores), np.float32)))
    return rows


@settings(max_examples=30)
@given(region_rows())
def test_any_rows_survive_a_round_trip_through_coco_json(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("round")
    write_store(folder / "a", rows, dict(root=str(folder)))
    counts = export_coco(RegionStore(folder / "a"), folder / "a.json")
    assert counts == dict(images=len(rows), boxes=sum(len(row.boxes) for row in rows))
    import_coco(folder / "a.json", folder / "b", folder)
    back = RegionStore(folder / "b")
    assert len(back) == len(rows)
    for got, wanted in zip(back, rows):
        assert got[:3] == wanted[:3]
        np.testing.assert_array_equal(got.boxes, wanted.boxes)
        np.testing.assert_array_equal(got.scores, wanted.scores)
