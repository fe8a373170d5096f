import json

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile

from mmregioncon.regions import list_images, read_image
from mmregioncon.regions.images import image_shape

from .helpers import BAD, GOOD, JPEG


@pytest.mark.parametrize("name", GOOD)
def test_read_as_training_does(tmp_path, name):
    content, shape = GOOD[name]
    file = tmp_path / name
    file.write_bytes(content)
    img = read_image(file)
    assert img.shape == (*shape, 3)
    assert img.dtype == np.uint8
    np.testing.assert_array_equal(img, LoadImageFromFile()(dict(img_path=str(file)))["img"])
    assert image_shape(file) == shape


@pytest.mark.parametrize("name", BAD)
def test_bad_files(tmp_path, name):
    (tmp_path / name).write_bytes(BAD[name])
    with pytest.raises(ValueError, match="empty|decode"):
        read_image(tmp_path / name)


def test_list_folder(image_tree):
    (image_tree / "n00" / "UPPER.JPEG").write_bytes(JPEG)
    (image_tree / ".hidden.jpg").write_bytes(JPEG)
    (image_tree / "n01" / "loop").symlink_to(image_tree, target_is_directory=True)
    images = list_images(image_tree)
    assert images.root == str(image_tree)
    assert len(images.paths) == 14
    assert images.paths == sorted(images.paths)
    assert "n00/UPPER.JPEG" in images.paths


def test_list_json_keeps_its_order(tmp_path, image_tree):
    names = ["n01/001.png", "n00/000.png", "n01/001.png", "gone.png"]
    images = [dict(id=i, file_name=name) for i, name in enumerate(names)]
    path = tmp_path / "c.json"
    path.write_text(json.dumps(dict(images=images)))
    listed = list_images(path, image_tree)
    assert listed == (str(image_tree), ["n01/001.png", "n00/000.png", "gone.png"])
    with pytest.raises(ValueError, match=r"c\.json: none of its first images.*--img-root"):
        list_images(path)


def test_list_errors(tmp_path, image_tree):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: no images"):
        list_images(tmp_path / "empty")
    with pytest.raises(ValueError, match="no such folder or COCO JSON"):
        list_images(tmp_path / "gone")
    with pytest.raises(ValueError, match="--img-root x goes with a COCO JSON"):
        list_images(image_tree, "x")
    (tmp_path / "none.json").write_text('{"images": []}')
    with pytest.raises(ValueError, match=r"none\.json: its 'images' list is empty"):
        list_images(tmp_path / "none.json")
