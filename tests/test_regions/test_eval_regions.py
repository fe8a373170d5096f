"""tools/analysis_tools/eval_regions.py on three small pictures."""

import json

import cv2
import numpy as np
import pytest

from mmregioncon.regions import RegionRow, write_store

OBJECTS = {"0.png": [[4, 4, 40, 30], [50, 30, 10, 10]], "1.png": [[8, 8, 20, 20]], "2.png": []}


@pytest.fixture
def truth(tmp_path):
    """COCO JSON of three images of 48x64, the last without objects."""
    images, annotations = [], []
    for i, (name, boxes) in enumerate(OBJECTS.items()):
        img = np.full((48, 64, 3), 90, np.uint8)
        for x, y, w, h in boxes:
            img[y : y + h, x : x + w] = (0, 80 * i, 255)
        cv2.imwrite(str(tmp_path / name), img)
        images.append(dict(id=i, file_name=name, height=48, width=64))
        annotations += [dict(image_id=i, category_id=1, bbox=box) for box in boxes]
    content = dict(images=images, annotations=annotations, categories=[dict(id=1, name="x")])
    (tmp_path / "truth.json").write_text(json.dumps(content))
    return tmp_path / "truth.json"


def regions(folder, zoom=1, names=OBJECTS, shape=(48, 64)):
    """Region file: a useless box of a low score in front of the first object."""
    rows = []
    for name in names:
        boxes = [[0, 0, 1, 1]]
        if OBJECTS.get(name):
            x, y, w, h = OBJECTS[name][0]
            boxes.append([x, y, x + w, y + h])
        boxes = np.array(boxes, np.float32) * zoom
        scores = np.linspace(0.1, 0.9, len(boxes))
        rows.append(RegionRow(name, shape[0] * zoom, shape[1] * zoom, boxes, scores))
    file = folder / f"r{zoom}.arrow"
    write_store(file, rows, dict(root=str(folder)))
    return file


@pytest.fixture
def tool(load_tool):
    return load_tool("analysis_tools/eval_regions.py")


def figures(tool, tmp_path, *arguments):
    assert tool.main([*map(str, arguments), "--json", str(tmp_path / "f.json")]) == 0
    return json.loads((tmp_path / "f.json").read_text())


def test_region_files_of_any_zoom(tool, truth, tmp_path, capsys):
    files = [f"{name}={regions(tmp_path, zoom)}" for name, zoom in (("one", 1), ("big", 3))]
    result = figures(tool, tmp_path, truth, "--regions", *files)
    assert (result["images"], result["objects"]) == (2, 3)
    for one in result["proposers"].values():
        assert one["ar_10"] == one["ar_100"] == one["recall_50"] == pytest.approx(2 / 3)
        assert one["ar_by_boxes"]["1"] == pytest.approx(2 / 3)  # the best score counts, not the row
        assert one["by_size"]["small"]["ar_100"] is None
        assert one["by_size"]["large"]["objects"] == 3
        assert one["seconds_per_image"] is None
    assert "| one | 2 | 0.667 |" in capsys.readouterr().out


def test_proposers_that_run_here(tool, truth, tmp_path):
    plot = tmp_path / "p.svg"
    arguments = ["--proposers", "fast_search", "random", "grid@32", "--long-side", 128]
    arguments += ["--proposer-args", "grid@32.n=2", "random.num=7", "--plot", plot]
    arguments += ["--regions", f"file={regions(tmp_path)}"]
    result = figures(tool, tmp_path, truth, *arguments)["proposers"]
    assert list(result) == ["file", "fast_search", "random", "grid@32"]
    assert result["grid@32"]["boxes_per_image"] == 4 and result["random"]["boxes_per_image"] == 7
    assert result["fast_search"]["seconds_per_image"] > 0
    assert 0.5 < result["fast_search"]["ar_50"] <= result["fast_search"]["ar_all"]
    assert "<svg" in plot.read_text()


def test_a_folder_gives_times_alone(tool, truth, tmp_path, capsys):
    result = figures(tool, tmp_path, truth.parent, "--proposers", "grid", "--limit", 2)
    assert (result["images"], result["objects"]) == (2, 0)
    assert result["proposers"]["grid"]["ar_100"] is None
    assert "| grid | 16 | - |" in capsys.readouterr().out


def test_images_that_a_file_lacks_are_left_out_for_all(tool, truth, tmp_path, capsys):
    arguments = ["--regions", f"a={regions(tmp_path, names=['0.png'])}", "--proposers", "grid"]
    assert figures(tool, tmp_path, truth, *arguments)["objects"] == 2
    assert "a: 1 images are not in it" in capsys.readouterr().out


def test_what_is_wrong_is_named(tool, truth, tmp_path, capsys):
    bare = tmp_path / "bare.json"
    bare.write_text(json.dumps(dict(json.loads(truth.read_text()), annotations=[])))
    other = regions(tmp_path, zoom=2, names=["x.png"])
    turned = regions(tmp_path, shape=(64, 48))
    for arguments, message in [
        ([bare, "--proposers", "grid"], "none of its 3 images has a box"),
        ([truth, "--regions", f"a={other}"], "a region file of other images"),
        ([truth, "--regions", f"a={turned}"], "is 48x64, but the JSON says 64x48"),
        ([truth, "--regions", other], "write NAME=FILE"),
        ([truth, "--regions", f"a={turned}", f"a={turned}"], "two have the same name"),
        ([truth, "--proposers", "gird"], "gird: choose from"),
        ([truth, "--proposers", "grid@x"], "write NAME@LONG_SIDE"),
        ([truth, "--proposers", "grid", "--proposer-args", "random.num=3"], "with a NAME of"),
        ([truth, "--proposers", "grid", "--proposer-args", "grid.m=3"], "unexpected keyword"),
        ([truth, "--proposers", "grid", "--img-root", "/none"], "--img-root"),
        (["/none.json", "--proposers", "grid"], "no such file"),
    ]:
        assert tool.main(list(map(str, arguments))) == 1
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit):
        tool.main([str(truth)])
