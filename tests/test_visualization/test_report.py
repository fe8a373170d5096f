"""The report: what it reads, what it draws, and one whole page from a made-up work dir."""

import importlib.util
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmregioncon.datasets.demo import CLASSES, make_demo_data
from mmregioncon.regions import RegionRow, write_store
from mmregioncon.visualization import report

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def demo_report():
    spec = importlib.util.spec_from_file_location("demo_report", ROOT / "tools/demo_report.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_scalars(run_dir, records, stamp="20260101_000000"):
    folder = run_dir / stamp / "vis_data"
    folder.mkdir(parents=True)
    (folder / "scalars.json").write_text("".join(json.dumps(r) + "\n" for r in records))


def test_read_scalars_joins_resumed_runs(tmp_path):
    write_scalars(tmp_path, [dict(loss=3.0, step=1), dict(loss=2.0, step=2)], "20260101_000000")
    write_scalars(
        tmp_path,
        [dict(loss=1.5, step=2), dict(loss=1.0, step=3), {"coco/bbox_mAP": 0.5, "step": 3}],
        "20260102_000000",
    )
    training, evaluation = report.read_scalars(tmp_path)
    assert [(r["step"], r["loss"]) for r in training] == [(1, 3.0), (2, 1.5), (3, 1.0)]
    assert evaluation == {"coco/bbox_mAP": 0.5, "step": 3}


def test_read_scalars_says_what_is_missing(tmp_path):
    with pytest.raises(ValueError, match="LocalVisBackend"):
        report.read_scalars(tmp_path)


@pytest.mark.parametrize(
    "width, expected", [(1, [1, 2, 6, 3]), (2, [1, 1.5, 4, 4.5]), (9, [1, 1.5, 3, 3])]
)
def test_smooth(width, expected):
    assert report.smooth(np.array([1, 2, 6, 3]), width).tolist() == pytest.approx(expected)


def test_draw_objects_keeps_its_input_and_draws_the_edges():
    image = np.zeros((40, 60, 3), np.uint8)
    drawn = report.draw_objects(image, [[10, 20, 30, 35]], [1], ["cup"])
    assert drawn.shape == (80, 120, 3) and not image.any()
    for x, y in [(20, 60), (59, 60), (40, 69)]:  # left, right and lower edge, enlarged twice
        assert tuple(drawn[y, x]) == report.PALETTE[1]
    assert not report.draw_objects(image, [], [], []).any()


@pytest.mark.parametrize(
    "pretrained, scratch, word",
    [(30.0, 20.0, "ahead"), (20.0, 30.0, "behind"), (20.5, 20.0, "seed does")],
)
def test_verdict_claims_no_more_than_it_can(demo_report, pretrained, scratch, word):
    assert word in demo_report.judge(pretrained, scratch, "SoCo")


@pytest.fixture
def finished_run(tmp_path):
    """A work dir as quickstart.sh leaves it, with invented figures, and its data."""
    data, work = tmp_path / "data", tmp_path / "work"
    make_demo_data(data, num_unlabelled=1, num_train=1, num_val=2, workers=1)
    row = RegionRow("000000.jpg", 128, 160, np.float32([[0, 0, 9, 9]]), np.ones(1, np.float32))
    write_store(data / "regions.arrow", [row], dict(root=str(data / "unlabelled")))
    write_scalars(work / "pretrain", [dict(loss=-s, step=s) for s in range(1, 9)])
    (work / "pretrain/views").mkdir()
    for epoch in (0, 5, 10):
        file = work / f"pretrain/views/epoch_{epoch}.png"
        cv2.imwrite(str(file), np.zeros((9, 9, 3), np.uint8))
    keys = [f"bbox_mAP{suffix}" for suffix in ("", "_50", "_75", "_s", "_m")]
    keys += [f"{name}_precision" for name in CLASSES]
    for run, ap in (("pretrained", 0.3), ("scratch", 0.2)):
        folder = work / f"finetune_{run}"
        evaluation = {f"coco/{key}": ap for key in keys} | {"step": 8}
        write_scalars(folder, [dict(loss=2.0, step=4), evaluation])
        found = dict(image_id=1, category_id=1, bbox=[1, 2, 30, 40], score=0.9)
        (folder / "val.bbox.json").write_text(json.dumps([found]))
    (work / "steps").mkdir()
    (work / "steps/1-data.done").write_text("draw <data>\n75\npython tools/x.py\nkey\n")
    return work, data


def test_report_holds_everything_in_one_file(demo_report, finished_run, tmp_path):
    work, data = finished_run
    out = tmp_path / "ap.json"
    demo_report.main(["--work-dir", str(work), "--data", str(data), "--json", str(out)])
    html = (work / "report.html").read_text()
    assert "30.0" in html and "20.0" in html and "+10.0" in html
    assert "epoch 0<" in html and "epoch 10<" in html and "epoch 5<" not in html
    assert html.count('src="data:image/jpeg') == 2 + 3 * demo_report.NUM_PICTURES
    assert html.count('src="data:image/svg') == 2
    assert 'src="http' not in html and "href" not in html
    assert "draw &lt;data&gt;" in html and "1:15" in html
    assert json.loads(out.read_text())["AP"] == dict(name="AP", pretrained=30.0, scratch=20.0)
