"""Label fractions: the draws of mmdet's tool, and what the files hold."""

import json
import runpy
from pathlib import Path

import mmdet
import numpy as np
import pytest

TOOL = Path(__file__).parents[2] / "tools/dataset_converters/split_coco.py"
MMDET_TOOL = Path(mmdet.__file__).parent / ".mim/tools/misc/split_coco.py"
split = runpy.run_path(str(TOOL))


@pytest.fixture
def coco(tmp_path):
    """500 images with an annotation each, and a second one on every fifth."""
    images = [dict(id=10 + i, file_name=f"{i}.jpg") for i in range(500)]
    annotated = images + images[::5]
    annotations = [dict(id=i, image_id=image["id"]) for i, image in enumerate(annotated)]
    content = dict(info={}, licenses=[], images=images, annotations=annotations, categories=[])
    path = tmp_path / "annotations/instances_train2017.json"
    path.parent.mkdir()
    path.write_text(json.dumps(content))
    return path


def test_the_files_are_those_of_mmdets_tool(coco, tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    split["main"]([str(coco), "--out-dir", str(ours), "--folds", "2", "--unlabelled"])
    reference = runpy.run_path(str(MMDET_TOOL))["split_coco"]
    for percent in (1, 2, 5, 10):
        for fold in (1, 2):
            reference(str(tmp_path), str(theirs), percent, fold)
    assert len(list(ours.iterdir())) == 16
    for file in ours.iterdir():
        assert json.loads(file.read_text()) == json.loads((theirs / file.name).read_text())


def test_an_image_keeps_all_or_none_of_its_annotations(coco, tmp_path):
    split["main"](
        [str(coco), "--out-dir", str(tmp_path / "out"), "--percent", "10", "--unlabelled"]
    )
    whole = json.loads(coco.read_text())
    for fold in range(1, 6):
        parts = [
            json.loads((tmp_path / f"out/{coco.stem}.{fold}@10{end}.json").read_text())
            for end in ("", "-unlabeled")
        ]
        for key in ("images", "annotations"):
            ids = [sorted(item["id"] for item in part[key]) for part in parts]
            assert sorted(ids[0] + ids[1]) == [item["id"] for item in whole[key]]
        assert 40 <= len(parts[0]["images"]) <= 50


def test_folds_differ_and_repeat():
    draws = [split["draw"](1000, 5, fold) for fold in (1, 2, 1)]
    assert np.array_equal(draws[0], draws[2]) and not np.array_equal(draws[0], draws[1])


@pytest.mark.parametrize(
    "content, arguments, message",
    [
        ("{}", [], "is no COCO file: it lacks annotations, categories, images"),
        ("[", [], "is not JSON"),
        ("[{}]", [], "is no COCO file: it holds a list"),
        (None, [], "no such file"),
        ('{"images": [1], "annotations": [], "categories": []}', [], "--percent 1 leaves no image"),
    ],
)
def test_what_is_refused(content, arguments, message, tmp_path):
    path = tmp_path / "a.json"
    if content:
        path.write_text(content)
    with pytest.raises(SystemExit, match=message):
        split["main"]([str(path), "--out-dir", str(tmp_path / "out"), *arguments])
