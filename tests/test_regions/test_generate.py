import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from mmregioncon.regions import (
    ImageList,
    RegionRow,
    RegionStore,
    RegionStoreError,
    generate_regions,
    list_images,
    parts,
    validate_store,
    workers,
    write_store,
)
from mmregioncon.regions.generate import summarise

from .helpers import BAD, GOOD, REPO, make_image

RANDOM = dict(type="RandomRegions", num=6)
SEARCH = dict(type="SelectiveSearch")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(parts, "CHUNK_IMAGES", 8)  # parts of 4


def run(images, out, proposer=RANDOM, **options):
    return generate_regions(images, out, proposer, progress=False, **options)


def files(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_file() or path.suffix)


@pytest.mark.parametrize("name", ["soco", "ccop"])
def test_same_bytes_for_any_number_of_workers(tmp_path, image_tree, name):
    images = list_images(image_tree)
    cfg = dict(type=name)
    for number in (1, 4):
        summary = run(images, tmp_path / f"{number}", SEARCH, filter_cfg=cfg, workers=number)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "4").read_bytes()
    regions = RegionStore(tmp_path / "1")
    assert [row.img_path for row in regions] == images.paths
    assert validate_store(regions) == []
    assert regions.metadata["proposer"] == SEARCH
    assert summary["images"] == summary["images_this_run"] == 13
    assert summary["boxes"] == sum(len(row.boxes) for row in regions)
    assert files(tmp_path) == ["1", "4"]


def test_bad_images_are_handled_or_listed(tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    for name, content in BAD.items():
        (root / name).write_bytes(content)
    for name, (content, _) in GOOD.items():
        (root / name).write_bytes(content)
    images = list_images(root)
    images.paths.append("gone.jpg")
    out = tmp_path / "a.arrow"
    summary = run(images, out, SEARCH, filter_cfg=dict(type="soco"), workers=2)
    regions = RegionStore(out)
    shapes = {row.img_path: (row.height, row.width) for row in regions}
    assert shapes == {name: shape for name, (_, shape) in GOOD.items()}
    assert validate_store(regions) == []
    assert summary["num_failures"] == len(BAD) + 1
    listed = (tmp_path / "a.arrow.failures.txt").read_text().splitlines()
    assert sorted(line.split("\t")[0] for line in listed) == sorted([*BAD, "gone.jpg"])


def test_name_that_is_not_utf8(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), make_image(0))
    with open(os.fsencode(tmp_path) + b"/\xff.png", "wb") as file:
        file.write((tmp_path / "a.png").read_bytes())
    summary = run(list_images(tmp_path), tmp_path / "r", workers=1)
    assert summary["images"] == 1
    assert "UTF-8" in summary["failures"][0][1]


def test_nothing_usable(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no")
    with pytest.raises(RegionStoreError, match=r"none of the 1 images.*a\.jpg: ValueError"):
        run(list_images(tmp_path), tmp_path / "r", workers=1)
    assert not (tmp_path / "r").exists()


def test_existing_file(tmp_path, image_tree):
    images, out = list_images(image_tree), tmp_path / "r"
    out.write_text("mine")
    with pytest.raises(RegionStoreError, match="--overwrite"):
        run(images, out, workers=1)
    assert out.read_text() == "mine"
    assert run(images, out, workers=1, overwrite=True)["images_this_run"] == 13
    assert run(images, out, workers=1)["images_this_run"] == 0, "it is what the run would make"
    with pytest.raises(RegionStoreError, match="made with another filter; pass --overwrite"):
        run(images, out, workers=1, filter_cfg=dict(type="soco"))
    assert files(tmp_path) == ["r"]


class Stopped(Exception):
    pass


def stop_after(monkeypatch, number):
    """Let a run die when it writes its part ``number``."""
    write = parts.write_store

    def failing(path, rows, metadata):
        if path.name == f"part-{number:06d}.arrow":
            raise Stopped
        return write(path, rows, metadata)

    monkeypatch.setattr(parts, "write_store", failing)


def test_resume_redoes_only_what_is_missing(tmp_path, image_tree, monkeypatch):
    images, out = list_images(image_tree), tmp_path / "r"
    run(images, tmp_path / "undisturbed", workers=1)
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_after(patch, 2)
        run(images, out, workers=1)
    assert not out.exists()
    with pytest.raises(RegionStoreError, match="another proposer;.*--overwrite"):
        run(images, out, dict(RANDOM, num=7), workers=1)
    with pytest.raises(RegionStoreError, match="another images, num_images;"):
        run(ImageList(images.root, images.paths[1:]), out, workers=1)
    (tmp_path / "r.parts" / "part-000000.arrow").write_bytes(b"cut short")
    assert run(images, out, workers=1)["images_this_run"] == 13 - 4
    assert out.read_bytes() == (tmp_path / "undisturbed").read_bytes()
    assert files(tmp_path) == ["r", "undisturbed"]


def test_overwrite_drops_parts_of_other_parameters(tmp_path, image_tree, monkeypatch):
    images, out = list_images(image_tree), tmp_path / "r"
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_after(patch, 2)
        run(images, out, workers=1)
    assert run(images, out, dict(RANDOM, num=7), workers=1, overwrite=True)["images_this_run"] == 13
    assert RegionStore(out)[0].boxes.shape == (7, 4)


def _run_quietly(images, out, queue):
    try:
        run(images, out, workers=1)
    except RegionStoreError as error:
        queue.put(str(error))


def test_two_runs_on_one_output(tmp_path, image_tree):
    images, out = list_images(image_tree), tmp_path / "r"
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    with parts.only_writer(out):
        second = context.Process(target=_run_quietly, args=(images, out, queue))
        second.start()
        assert "another run is writing it" in queue.get(timeout=120)
        second.join(120)
        assert second.exitcode == 0


def test_worker_that_dies(tmp_path, image_tree, monkeypatch):
    monkeypatch.setattr(workers, "read_image", lambda path: os._exit(9))
    with pytest.raises(RegionStoreError, match="a worker process was killed"):
        run(list_images(image_tree), tmp_path / "r", workers=2)


def test_workers_of_a_fork_server(tmp_path, image_tree, monkeypatch):
    context = multiprocessing.get_context("forkserver")  # the default from Python 3.14 on
    context.set_forkserver_preload([workers.__name__])  # so that it is imported once
    monkeypatch.setattr(multiprocessing, "get_context", lambda: context)
    summary = run(list_images(image_tree), tmp_path / "r", workers=2)
    assert summary["images"] == 13


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), MemoryError()])
def test_trouble_of_the_machine_is_no_failure_of_the_image(
    tmp_path, image_tree, monkeypatch, error
):
    images, out = list_images(image_tree), tmp_path / "r"
    read = workers.read_image

    def failing(path):
        if path.name == "008.png":
            raise error
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(workers, "read_image", failing)
        with pytest.raises(RegionStoreError, match=r"n02/008\.png: .*run the same command again"):
            run(images, out, workers=1)
    assert run(images, out, workers=1)["images_this_run"] < 13, "what was finished is kept"
    assert RegionStore(out).metadata["failures"] == []


def test_image_that_may_not_be_read_is_listed(tmp_path, image_tree, monkeypatch):
    images, read = list_images(image_tree), workers.read_image

    def denied(path):
        if path.name == "006.png":
            raise PermissionError(errno.EACCES, "Permission denied")
        return read(path)

    monkeypatch.setattr(workers, "read_image", denied)
    assert run(images, tmp_path / "r", workers=1)["num_failures"] == 1


def test_too_many_failures_stop_the_run(tmp_path, image_tree):
    images, out = list_images(image_tree), tmp_path / "r"
    for name in images.paths[1::3]:  # four of 13, the third in the second part
        (image_tree / name).write_bytes(b"")
    for _ in range(2):  # what an earlier run has left out counts
        with pytest.raises(RegionStoreError, match="3 images could not be used.*is empty.*--max-f"):
            run(images, out, workers=1, max_failures=2)
    assert run(images, out, workers=1, max_failures=4)["num_failures"] == 4


def test_lock_that_was_removed_is_none(tmp_path):
    out = tmp_path / "r"
    with open(tmp_path / "lock", "w") as lock:
        (tmp_path / "lock").unlink()  # by the run before, that had it until then
        assert not parts._is_locked(lock)
    with parts.only_writer(out) as folder:
        (folder / ".part-000000.arrow.1.tmp").touch()  # of a run that was killed
    assert files(tmp_path) == []


THREADED_PARENT = """
import sys
import cv2, numpy as np
from mmregioncon.regions import generate_regions, list_images
cv2.setNumThreads(4)
cv2.GaussianBlur(np.zeros((2000, 2000), np.uint8), (9, 9), 2)  # starts OpenCV's threads
images, out = list_images(sys.argv[1]), sys.argv[2]
print(generate_regions(images, out, dict(type="RandomRegions"), workers=2)["images"])
print(cv2.getNumThreads())
"""


def test_workers_of_a_process_that_has_opencv_threads(tmp_path, image_tree):
    command = [sys.executable, "-c", THREADED_PARENT, str(image_tree), str(tmp_path / "r")]
    done = subprocess.run(
        command,
        cwd=REPO,
        env=dict(os.environ, PYTHONPATH=str(REPO)),
        capture_output=True,
        timeout=300,
        text=True,
        check=True,
        start_new_session=True,
    )
    assert done.stdout.split() == ["13", "4"]


@pytest.mark.parametrize(
    ("proposer", "message"),
    [
        (dict(type="RandomRegions", nums=3), "--proposer-args.*nums"),
        (dict(type="CocoRegions", ann_file="/none.json"), "/none.json: no such file"),
    ],
)
def test_bad_proposer(tmp_path, image_tree, proposer, message):
    with pytest.raises(ValueError, match=message):
        run(list_images(image_tree), tmp_path / "r", proposer)
    assert files(tmp_path) == []


SLOW_TOOL = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored below a shell's "&"
from mmregioncon.regions import parts, workers
sys.path.insert(0, "tools")
import generate_regions
parts.CHUNK_IMAGES = 8
read = workers.read_image
def slowly(path):
    time.sleep(0.1 if path.parent.name == "n00" else 1)  # the first part's are in n00
    return read(path)
workers.read_image = slowly
sys.exit(generate_regions.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGKILL, -signal.SIGKILL),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
    ],
)
def test_kill_and_resume(tmp_path, image_tree, load_tool, number, code):
    main = load_tool("generate_regions.py").main
    arguments = [str(image_tree), "--workers", "2", "--out"]
    assert main([*arguments, str(tmp_path / "undisturbed")]) == 0
    out = tmp_path / "r"
    command = [sys.executable, "-c", SLOW_TOOL, *arguments, str(out)]
    process = subprocess.Popen(command, cwd=REPO, env=dict(os.environ, PYTHONPATH=str(REPO)))
    first_part = tmp_path / "r.parts" / "part-000000.arrow"
    deadline = time.time() + 300
    while not first_part.exists() and process.poll() is None and time.time() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(timeout=120) == code
    assert first_part.exists() and not out.exists()
    assert main([*arguments, str(out), "--json", str(tmp_path / "s.json")]) == 0
    assert out.read_bytes() == (tmp_path / "undisturbed").read_bytes()
    assert json.loads((tmp_path / "s.json").read_text())["images_this_run"] < 13


def test_coco_boxes_through_the_tool(tmp_path, image_tree, load_tool, capsys):
    main = load_tool("generate_regions.py").main
    images = [
        dict(id=i, file_name=f"n{i % 3:02d}/{i:03d}.png", height=48 + i, width=64) for i in range(3)
    ]
    annotations = [dict(image_id=i, bbox=[2, 3, 10 * i, 10]) for i in range(3)]
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps(dict(images=images, annotations=annotations)))
    arguments = [str(truth), "--img-root", str(image_tree), "--proposer", "coco"]
    arguments += ["--filter", "none", "--workers", "1", "--out"]
    assert main([*arguments, str(tmp_path / "truth")]) == 0
    boxes = [row.boxes.tolist() for row in RegionStore(tmp_path / "truth")]
    assert boxes == [[], [[2, 3, 12, 13]], [[2, 3, 22, 13]]]
    detections = tmp_path / "detections.json"
    detections.write_text(json.dumps([dict(image_id=2, bbox=[0, 0, 9, 9], score=0.9)]))
    assert main([*arguments, str(tmp_path / "found"), "--boxes", str(detections)]) == 0
    assert [len(row.boxes) for row in RegionStore(tmp_path / "found")] == [0, 0, 1]
    assert "2 images without boxes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{empty}", "--out", "{empty}/r"], "no images in this folder"),
        (["{tree}", "--out", "r", "--proposer", "coco"], "needs --boxes"),
        (["{tree}", "--out", "r", "--boxes", "b.json"], "--boxes goes with"),
        (["{tree}", "--out", "{empty}/r", "--filter-args", "side=3"], "no such option"),
    ],
)
def test_tool_errors(tmp_path, image_tree, load_tool, capsys, arguments, message):
    (tmp_path / "empty").mkdir()
    arguments = [a.format(empty=tmp_path / "empty", tree=image_tree) for a in arguments]
    assert load_tool("generate_regions.py").main(arguments) == 1
    assert message in capsys.readouterr().err


def test_help_has_examples(load_tool, capsys):
    with pytest.raises(SystemExit) as stop:
        load_tool("generate_regions.py").parse_args(["--help"])
    assert stop.value.code == 0
    assert "examples:" in capsys.readouterr().out


@pytest.mark.parametrize("counts", [[0, 2, 4], []])
def test_summary(tmp_path, counts):
    rows = [
        RegionRow(str(i), 9, 9, np.zeros((n, 4), "f4"), np.zeros(n)) for i, n in enumerate(counts)
    ]
    write_store(tmp_path / "r", rows, dict(failures=[["a", "empty"]]))
    summary = summarise(tmp_path / "r")
    assert summary == dict(
        images=len(counts),
        boxes=sum(counts),
        boxes_per_image=2.0 if counts else 0.0,
        boxes_per_image_min=0,
        boxes_per_image_median=2.0 if counts else 0.0,
        boxes_per_image_max=max(counts, default=0),
        images_without_boxes=1 if counts else 0,
        num_failures=1,
        failures=[["a", "empty"]],
    )
