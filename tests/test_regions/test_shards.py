"""Shards, their merge, and runs that are killed, refused or out of disk."""

import json
import multiprocessing
import os
import random
import re
import resource
import signal
import threading
import time
from pathlib import Path

import cv2
import pytest
from tqdm import tqdm

from mmregioncon.regions import (
    ImageList,
    RandomRegions,
    RegionStore,
    RegionStoreError,
    generate_regions,
    list_images,
    merge_shards,
    parts,
    store,
    write_store,
)
from mmregioncon.regions.generate import shard_path
from mmregioncon.registry import REGION_PROPOSERS

from .helpers import make_image

RANDOM = dict(type="RandomRegions", num=6)
FORK = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(parts, "CHUNK_IMAGES", 8)  # parts of 4


def run(images, out, proposer=RANDOM, workers=1, **options):
    return generate_regions(images, out, proposer, workers=workers, progress=False, **options)


def make_shards(images, out, count, **options):
    for index in range(count):
        run(images, out, shard=(index, count), **options)


def merge(out, **options):
    return merge_shards(out, progress=False, **options)


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != "images")


@pytest.fixture
def images(image_tree):
    (image_tree / "n00" / "bad.jpg").write_bytes(b"no image")
    return list_images(image_tree)


@pytest.mark.parametrize(("count", "workers"), [(2, 1), (3, 2), (14, 1)])
def test_same_bytes_for_any_number_of_ranks(tmp_path, images, count, workers):
    options = dict(filter_cfg=dict(type="ccop"), segments=dict(long_side=32, min_size=5))
    alone = run(images, tmp_path / "alone", **options)
    make_shards(images, tmp_path / "r.arrow", count, workers=workers, **options)
    summary = merge(tmp_path / "r.arrow")
    assert (tmp_path / "r.arrow").read_bytes() == (tmp_path / "alone").read_bytes()
    failures = [(tmp_path / f"{name}.failures.txt").read_text() for name in ("alone", "r.arrow")]
    assert failures[0] == failures[1] != ""
    assert summary == {key: alone[key] for key in summary}
    assert RegionStore(tmp_path / "r.arrow")[0].segments


def test_finished_shards_are_not_made_again(tmp_path, images):
    make_shards(images, tmp_path / "r", 2)
    assert run(images, tmp_path / "r", shard=(1, 2))["images_this_run"] == 0
    first = merge(tmp_path / "r")
    assert merge(tmp_path / "r") == first, "nothing to do"
    assert names(tmp_path) == [
        "r", "r.failures.txt", "r.shard-0000-of-0002", "r.shard-0000-of-0002.failures.txt",
        "r.shard-0001-of-0002",
    ]  # fmt: skip


def replace_row(path, **values):
    """Write a shard again with another first row."""
    regions = RegionStore(path)
    rows = list(regions)
    write_store(path, [rows[0]._replace(**values), *rows[1:]], regions.metadata)


def drop_row(path):
    regions = RegionStore(path)
    write_store(path, list(regions)[1:], regions.metadata)


def of_another_version(path):
    regions = RegionStore(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "FORMAT_VERSION", 99)
        write_store(path, list(regions), regions.metadata)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda images, path: path.unlink(), r"0001-of-0003: this shard is missing.*--shard 1/3"),
        (
            lambda images, path: run(images, path, dict(RANDOM, num=7), overwrite=True),
            "0001-of-0003: made with another proposer, shard than .*0000-of-0003; remove it",
        ),
        (
            lambda images, path: run(
                ImageList(images.root, images.paths[:9]), path.with_name("r"), shard=(0, 2)
            ),
            "shards of several runs, r.shard-0000-of-0002 and r.shard-0002-of-0003",
        ),
        (
            lambda images, path: path.write_bytes(shard_path("r", 2, 3).read_bytes()),
            "0001-of-0003: made with another shard than",
        ),
        (
            lambda images, path: replace_row(path, img_path=images.paths[0]),
            "0001-of-0003: n00/000.png: .*0000-of-0003 has this image too. Remove the shard",
        ),
        (
            lambda images, path: replace_row(path, width=1),
            "0001-of-0003: n00/.*: 6 boxes outside the image.*Remove the shard",
        ),
        (lambda images, path: drop_row(path), "0000-of-0003 and the others* .*13 images, not 14"),
        (
            lambda images, path: of_another_version(path),
            "0001-of-0003: region format 99, this version of MMRegionCon reads 1: make the file",
        ),
        (
            lambda images, path: path.write_bytes(path.read_bytes()[:-100]),
            "0001-of-0003: not a complete Arrow file.*cut short",
        ),
    ],
)
def test_shards_that_do_not_fit(tmp_path, images, monkeypatch, harm, message):
    monkeypatch.chdir(tmp_path)
    make_shards(images, "r", 3)
    harm(images, shard_path("r", 1, 3))
    with pytest.raises(RegionStoreError, match=message):
        merge("r")
    assert not Path("r").exists() and not Path("r.parts").exists()


def test_images_that_came_between(tmp_path, images):
    run(images, tmp_path / "r", shard=(0, 2))
    run(ImageList(images.root, images.paths[:-1]), tmp_path / "r", shard=(1, 2))
    with pytest.raises(RegionStoreError, match="0001-of-0002: made with another images, num_im"):
        merge(tmp_path / "r")


def test_no_shards(tmp_path):
    with pytest.raises(RegionStoreError, match=r"r.arrow: no shard of it.*--shard, torchrun"):
        merge(tmp_path / "r.arrow")


def test_merge_spares_a_file_of_another_run(tmp_path, images):
    run(images, tmp_path / "r", dict(RANDOM, num=7))
    make_shards(images, tmp_path / "r", 2)
    with pytest.raises(RegionStoreError, match="made with another proposer; pass --overwrite"):
        merge(tmp_path / "r")
    assert len(RegionStore(tmp_path / "r")[0].boxes) == 7
    merge(tmp_path / "r", overwrite=True)
    assert len(RegionStore(tmp_path / "r")[0].boxes) == 6


def start(function, *args):
    """Call in another process, which may be killed."""

    def call():
        # Forks share tqdm's lock (disabled bars take it too): one killed while it holds it would
        # leave the next bar of any other waiting for ever.
        tqdm.set_lock(threading.RLock())
        function(*args)

    process = FORK.Process(target=call)
    process.start()
    return process


def in_a_process(function, *args):
    """Call in another process; returns the message of its RegionStoreError."""

    def call(queue):
        try:
            function(*args)
        except RegionStoreError as error:
            queue.put(str(error))

    queue = FORK.Queue()
    process = start(call, queue)
    message = queue.get(timeout=120)
    process.join()
    return message


@pytest.mark.parametrize(
    "second",
    [
        lambda images, out: run(images, out, shard=(1, 2)),
        lambda images, out: merge(out),
    ],
)
def test_two_writers(tmp_path, images, second):
    out = tmp_path / "r"
    make_shards(images, out, 2)
    with (
        parts.only_writer(out),
        parts.only_writer(shard_path(out, 1, 2)),
    ):
        assert "another run is writing it" in in_a_process(second, images, out)
    assert not out.exists()


def with_little_disk(function, *args):
    """Files may not grow beyond some bytes: the error of a full disk, by another number."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3500, resource.RLIM_INFINITY))
    function(*args)


@pytest.mark.parametrize(
    ("task", "file"),
    [
        (lambda images, out: run(images, out, dict(RANDOM, num=60)), "r.parts/part-000000.arrow"),
        (lambda images, out: run(images, out), "r.parts/joined.arrow"),
        (lambda images, out: merge(out), "r.parts/joined.arrow"),
    ],
)
def test_disk_full(tmp_path, images, task, file):
    make_shards(images, tmp_path / "r", 4)
    before = names(tmp_path)
    message = in_a_process(with_little_disk, task, images, tmp_path / "r")
    assert message.startswith(f"{tmp_path / file}: cannot be written")
    assert "Make room there" in message and "run the same command again" in message
    assert sorted({*names(tmp_path)} - {*before}) in ([], ["r.parts"])
    parts = tmp_path / "r.parts"
    assert not parts.exists() or all(RegionStore(p) for p in parts.glob("*.arrow"))
    task(images, tmp_path / "r")
    assert len(RegionStore(tmp_path / "r")) == 13


@REGION_PROPOSERS.register_module()
class SlowRandomRegions(RandomRegions):
    """Takes its time, counts the images, and waits after a number of them."""

    log, limit = "/dev/null", 0

    def __call__(self, img, img_path):
        while os.path.getsize(self.log) > self.limit:  # that of /dev/null is 0
            time.sleep(0.001)
        with open(self.log, "a") as log:
            log.write(".")
        time.sleep(0.008)
        return super().__call__(img, img_path)


def in_two_shards(images, out):
    for index in range(2):
        run(images, out, dict(type="SlowRandomRegions"), workers=2, shard=(index, 2))
    merge(out)


def saved(folder):
    """The images in finished files."""
    files = [*folder.glob("r.shard-*.arrow"), *folder.glob("r.*.parts/part-*.arrow")]
    return {row.img_path for file in files for row in RegionStore(file)}


def take_tqdms_lock(ready):
    with tqdm.get_lock():
        ready.set()
        time.sleep(60)


def test_a_killed_process_leaves_no_lock_behind():
    locks, ready = tqdm.get_lock().locks, FORK.Event()
    process = start(take_tqdms_lock, ready)
    assert ready.wait(30)
    process.kill()
    process.join()
    for lock in locks:
        assert lock.acquire(timeout=10)
        lock.release()


def test_killed_ten_times_at_random_moments(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "CHUNK_IMAGES", 16)
    folder = tmp_path / "images"
    folder.mkdir()
    cv2.imwrite(str(folder / "000.png"), make_image(0))
    for i in range(1, 400):
        os.link(folder / "000.png", folder / f"{i:03d}.png")
    images, out = list_images(folder), tmp_path / "r.arrow"
    moments = random.Random(0)
    for attempt in range(10):
        log, before = tmp_path / f"{attempt}.log", saved(tmp_path)
        log.touch()
        moment = moments.randint(0, 30)  # ten times that, and 8 more, are not all the images
        monkeypatch.setattr(SlowRandomRegions, "log", log)
        monkeypatch.setattr(SlowRandomRegions, "limit", moment + 6)
        process = start(in_two_shards, images, out)
        while log.stat().st_size < moment:
            assert process.is_alive()
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.01))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        lost = log.stat().st_size - len(saved(tmp_path) - before)
        assert lost <= 16, "more than a chunk"
        assert saved(tmp_path) >= before
    assert 0 < len(saved(tmp_path)) < 400 and not out.exists()
    monkeypatch.setattr(SlowRandomRegions, "log", "/dev/null")
    for moment in (0, 0.01, 0.02):  # while it is merging, perhaps
        process = start(in_two_shards, images, out)
        while not shard_path(out, 1, 2).exists():
            assert process.is_alive()
            time.sleep(0.001)
        time.sleep(moment)
        process.kill()
        process.join()
    in_two_shards(images, out)
    run(images, tmp_path / "undisturbed", dict(type="SlowRandomRegions"), workers=4)
    assert out.read_bytes() == (tmp_path / "undisturbed").read_bytes()
    assert not list(tmp_path.glob("**/*.parts")) and not list(tmp_path.glob("**/.*"))


@pytest.fixture
def tool(load_tool, monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    return load_tool("generate_regions.py")


@pytest.mark.parametrize("launcher", [("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")])
def test_ranks_of_a_launcher(tmp_path, image_tree, tool, monkeypatch, capsys, launcher):
    arguments = [str(image_tree), "--workers", "1", "--proposer", "random", "--segments", "--out"]
    assert tool.main([*arguments, str(tmp_path / "alone")]) == 0
    out = str(tmp_path / "r.arrow")
    for index in "10":
        monkeypatch.setenv(launcher[0], index)
        monkeypatch.setenv(launcher[1], "2")
        assert tool.main([*arguments, out, "--json", str(tmp_path / "s.json")]) == 0
    assert "when all 2 are there: generate_regions.py --merge" in capsys.readouterr().out
    assert tool.main(["--merge", "--out", out, "--json", str(tmp_path / "s.json")]) == 0
    assert Path(out).read_bytes() == (tmp_path / "alone").read_bytes()
    counts = [json.loads(path.read_text())["images"] for path in sorted(tmp_path.glob("s*.json"))]
    assert counts == [13, 6, 7]


def test_an_explicit_shard_wins(tool, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert tool.parse_args(["images", "--out", "r"]).shard == (1, 2)
    assert tool.parse_args(["images", "--out", "r", "--shard", "3/8"]).shard == (3, 8)


@pytest.mark.parametrize(
    ("env", "workers"),
    [
        ({}, 16),
        (dict(LOCAL_WORLD_SIZE="8"), 2),
        (dict(LOCAL_WORLD_SIZE="32"), 1),
        (dict(SLURM_CPUS_PER_TASK="4", SLURM_NTASKS_PER_NODE="2"), 4),
        (dict(SLURM_CPUS_PER_TASK="64"), 16),
        (dict(SLURM_NTASKS_PER_NODE="4"), 4),
    ],
)
def test_workers_of_a_rank(tool, monkeypatch, env, workers):
    monkeypatch.setattr(tool, "usable_cores", lambda: 16)
    assert tool.default_workers(env) == workers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{tree}", "--shard", "2/2"], "--shard 2/2: wanted I/N with I from 0 to N - 1"),
        (["{tree}", "--shard", "0/99"], "N at most the number of images, 13"),
        (["{tree}", "--shard", "one"], "argument --shard: invalid.*'one'"),
        (["{tree}", "--merge"], "give the images, or --merge"),
        ([], "give the images, or --merge"),
        (["{tree}", "--segments-args", "scale=3"], "--segments-args goes with --segments"),
        (["{tree}", "--segments", "--segments-args", "scal=3"], "--segments-args: .*scal"),
        (["--merge"], "no shard of it"),
    ],
)
def test_tool_errors(tmp_path, image_tree, tool, capsys, arguments, message):
    arguments = [a.format(tree=image_tree) for a in arguments] + ["--out", str(tmp_path / "r")]
    try:
        assert tool.main(arguments) == 1
    except SystemExit as stop:
        assert stop.code == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert names(tmp_path) == []
