import json

import cv2
import numpy as np
import pytest

from mmregioncon.regions import RegionRow, RegionStore, validate_store, write_store

from .helpers import make_image


@pytest.fixture
def regions(tmp_path):
    """Region file of three images of 48x64."""
    rows = []
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), make_image(i))
        boxes = np.array([[0, 0, 64, 48], [5, 5, 20, 20]], np.float32)
        rows.append(RegionRow(f"{i}.png", 48, 64, boxes, np.array([0.5, 0.9], np.float32)))
    write_store(tmp_path / "r.arrow", rows, dict(root=str(tmp_path)))
    return tmp_path / "r.arrow"


def with_box(row, box):
    return row._replace(boxes=np.array([box], np.float32), scores=np.ones(1))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda row: row._replace(img_path="gone.png"), "row 1, gone.png: the image is missing"),
        (lambda row: row._replace(img_path="text.png"), "cannot be read"),
        (lambda row: row._replace(height=49), "the image is 64x48, the row says 64x49"),
        (lambda row: row._replace(img_path="0.png"), "an earlier row"),
        (lambda row: with_box(row, [0, 0, 65, 10]), "1 boxes outside the image"),
        (lambda row: with_box(row, [-1, 0, 65, 10]), "1 boxes outside the image"),
        (lambda row: with_box(row, [5, 5, 5, 10]), "1 boxes without area"),
        (lambda row: with_box(row, [9, 5, 5, 10]), "1 boxes without area"),
    ],
)
def test_validator_names_the_problem(regions, change, problem):
    rows = list(RegionStore(regions))
    (regions.parent / "text.png").write_text("no image")
    rows[1] = change(rows[1])
    write_store(regions, rows, dict(root=str(regions.parent)))
    (found,) = validate_store(RegionStore(regions))
    assert problem in found


def test_validate_tool(regions, load_tool, capsys, tmp_path):
    main = load_tool("analysis_tools/validate_regions.py").main
    assert main([str(regions)]) == 0
    assert "3 images, no problems" in capsys.readouterr().out
    assert main([str(regions), "--root", "/none", "--json", str(tmp_path / "p.json")]) == 1
    assert "3 problems in 3 images" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "p.json").read_text())["problems"]) == 3
    assert main(["/none.arrow"]) == 1


def test_browse_tool(regions, load_tool, tmp_path):
    tool = load_tool("analysis_tools/browse_regions.py")
    row = RegionStore(regions)[0]
    drawn = tool.draw_row(np.zeros((48, 64, 3), np.uint8), row, num_boxes=1)
    ys, xs = drawn.any(-1).nonzero()  # the best box only, its last pixel inside
    assert (xs.min(), ys.min(), xs.max(), ys.max()) == (5, 5, 19, 19)
    assert tool.main([str(regions), "--out", str(tmp_path / "sheet.png"), "--size", "100"]) == 0
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (100, 300, 3)
    assert tool.main([str(regions), "--out", str(tmp_path / "drawn"), "--num", "2"]) == 0
    assert sorted(f.name for f in (tmp_path / "drawn").iterdir()) == ["0.png", "2.png"]
    assert tool.main([str(regions), "--out", str(tmp_path / "x"), "--root", "/none"]) == 1


def test_convert_tool(regions, load_tool, tmp_path, capsys):
    main = load_tool("analysis_tools/convert_regions.py").main
    boxes, again = str(tmp_path / "b.json"), str(tmp_path / "again.arrow")
    assert main(["to-coco", str(regions), boxes]) == 0
    assert main(["from-coco", boxes, again]) == 0
    assert "images 3, boxes 6" in capsys.readouterr().out
    assert validate_store(RegionStore(again)) == []
    (tmp_path / "soco.json").write_text('{"1": [[0, 0, 9, 9]], "77": []}')
    arguments = ["from-soco", str(tmp_path / "soco.json"), again, "--img-root", str(tmp_path)]
    assert main([*arguments, "--json", str(tmp_path / "s.json")]) == 0
    assert json.loads((tmp_path / "s.json").read_text())["failures"][0][0] == "77"
    assert main(["from-coco", "/none.json", again]) == 1
    with pytest.raises(SystemExit):
        main(["from-soco", "a.json", again])
