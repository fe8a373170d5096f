import importlib.util
from pathlib import Path

import cv2
import pytest

from .helpers import REPO, make_image


@pytest.fixture
def image_tree(tmp_path):
    """A folder of 13 images in an ImageNet-like tree."""
    root = tmp_path / "images"
    for i in range(13):
        folder = root / f"n{i % 3:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{i:03d}.png"), make_image(i, 48 + i, 64))
    (root / "n00" / "notes.txt").write_text("not an image")
    return root


@pytest.fixture
def load_tool():
    """Import a script of ``tools/`` by its path."""

    def load(name):
        spec = importlib.util.spec_from_file_location(Path(name).stem, REPO / "tools" / name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
