"""The transfer benchmark: what it plans, trains, resumes and reports."""

import csv
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from tiny_detection_data import write_coco

ROOT = Path(__file__).parents[2]
TOOL = runpy.run_path(str(ROOT / "tools/benchmarks/transfer.py"))
DETECTOR = ROOT / "configs/demo/faster-rcnn_r18-fpn_demo_any.py"


@pytest.fixture
def data(tmp_path):
    """COCO 2017's layout with two of its 80 classes."""
    root = tmp_path / "data"
    write_coco(root)
    for split in ("train", "val"):
        path = root / f"annotations/instances_{split}2017.json"
        content = json.loads(path.read_text())
        content["categories"] = content["categories"][:2]
        path.write_text(json.dumps(content))
    return root


@pytest.fixture
def checkpoint(tmp_path):
    """A backbone's keys of the demo's width."""
    cfg = Config.fromfile(DETECTOR)
    from mmengine.registry import MODELS, DefaultScope

    with DefaultScope.overwrite_default_scope("mmdet"):
        state = MODELS.build(cfg.model.backbone).state_dict()
    path = tmp_path / "plrc/epoch_1.pth"
    path.parent.mkdir()
    torch.save(dict(state_dict={f"backbone.{k}": v for k, v in state.items()}), path)
    return path


def arguments(tmp_path, checkpoint, data, *more):
    return TOOL["parse_args"](
        ["--init", str(checkpoint), "random", "--detectors", str(DETECTOR)]
        + ["--data", f"tiny={data}", "--work-dir", str(tmp_path / "work"), "--seeds", "0", "3"]
        + list(more)
    )


def test_plan_is_the_product_and_each_run_has_its_settings(tmp_path, checkpoint, data):
    runs = TOOL["plan"](arguments(tmp_path, checkpoint, data))
    assert [(run.init, run.seed) for run in runs] == [
        ("plrc_epoch_1", 0), ("plrc_epoch_1", 3), ("random", 0), ("random", 3),
    ]  # fmt: skip
    assert len({run.folder for run in runs}) == 4
    for run in runs:
        cfg = run.cfg
        dataset = cfg.val_dataloader.dataset
        assert (dataset.data_root, dataset.data_prefix.img) == (f"{data}/", "val2017/")
        assert dataset.metainfo.classes == ("person", "bicycle")
        assert cfg.model.roi_head.bbox_head.num_classes == 2
        assert cfg.val_evaluator.ann_file == str(data / "annotations/instances_val2017.json")
        assert cfg.randomness.seed == run.seed
        assert cfg.load_from == (None if run.init == "random" else str(checkpoint))
        assert cfg.custom_hooks[0].get("allow_scratch", False) == (run.init == "random")


def test_a_pre_training_for_each_seed(tmp_path, checkpoint, data):
    for seed in (0, 3):
        (tmp_path / f"{seed}.pth").write_bytes(checkpoint.read_bytes())
    runs = TOOL["plan"](
        arguments(tmp_path, checkpoint, data, "--init", f"plrc={tmp_path}/{{seed}}.pth")
    )
    assert [(run.init, run.cfg.load_from) for run in runs] == [
        ("plrc", str(tmp_path / "0.pth")), ("plrc", str(tmp_path / "3.pth")),
    ]  # fmt: skip


def test_another_setting_or_checkpoint_is_another_folder(tmp_path, checkpoint, data):
    first = TOOL["plan"](arguments(tmp_path, checkpoint, data))
    longer = arguments(tmp_path, checkpoint, data, "--cfg-options", "train_cfg.max_iters=7")
    assert not {r.folder for r in first} & {r.folder for r in TOOL["plan"](longer)}
    torch.save({}, checkpoint)
    again = TOOL["plan"](arguments(tmp_path, checkpoint, data))
    assert [one.folder == other.folder for one, other in zip(first, again)] == [0, 0, 1, 1]


@pytest.mark.parametrize(
    "more, message",
    [
        (["--init", "nothing.pth"], r"--init nothing\.pth: no such checkpoint"),
        (["--detectors", "nothing.py"], r"--detectors nothing\.py: no such config"),
        (["--data", "."], r"--data \S*: it needs annotations/instances_train2017\.json"),
        (["--init", "random", "random"], "asked for twice.*NAME=PATH"),
        (["--cfg-options", "train_cfg.max_itrs=7"], "max_itrs.*Did you mean 'max_iters'"),
        (["--detectors", str(DETECTOR.parent / "faster-rcnn_r18-fpn_demo.py")], "has no mmreg"),
    ],
)
def test_what_is_refused_before_anything_is_trained(more, message, tmp_path, checkpoint, data):
    with pytest.raises(ValueError, match=message):
        TOOL["plan"](arguments(tmp_path, checkpoint, data, *more))


def test_slurm_needs_a_partition(capsys):
    with pytest.raises(SystemExit):
        TOOL["parse_args"](["--init", "random", "--detectors", "a", "--launcher", "slurm"])
    assert "needs --partition" in capsys.readouterr().err


@pytest.mark.parametrize(
    "more, start, end",
    [
        ([], [sys.executable, str(ROOT / "tools/train.py")], []),
        (["--launcher", "pytorch", "--gpus", "4"], ["bash", str(ROOT / "tools/dist_train.sh")], []),
        (
            ["--launcher", "slurm", "--partition", "gpu"],
            ["bash", str(ROOT / "tools/slurm_train.sh"), "gpu"],
            [],
        ),
    ],
)
def test_commands_and_resuming(more, start, end, tmp_path, checkpoint, data):
    args = arguments(tmp_path, checkpoint, data, *more)
    run = TOOL["plan"](args)[0]
    command = TOOL["command_of"](run, args)
    assert command[: len(start)] == start and "--resume" not in command
    assert str(run.folder / "config.py") in command and str(run.train_dir) in command
    run.train_dir.mkdir(parents=True)
    (run.train_dir / "last_checkpoint").write_text("iter_1.pth")
    assert TOOL["command_of"](run, args) == [*command, "--resume"]


def test_tables_by_hand(tmp_path, checkpoint, data):
    args = arguments(tmp_path, checkpoint, data)
    runs = TOOL["plan"](args)
    found = [dict(metrics={"coco/bbox_mAP": ap, "coco/bbox_mAP_50": 0.5}) for ap in (0.1, 0.3, 0.2)]
    records = dict(zip(runs, [*found, dict(error="exit code 1")]))
    rows = TOOL["table_rows"](runs, records, args.metrics)
    assert TOOL["markdown"](rows, args.metrics).splitlines()[2:] == [
        "| faster-rcnn_r18-fpn_demo_any | tiny | plrc_epoch_1 | 0 3 | 20.0 ± 14.1 | 50.0 ± 0.0 |",
        "| faster-rcnn_r18-fpn_demo_any | tiny | random | 0 (1 missing) | 20.0 | 50.0 |",
    ]
    lines = list(csv.DictReader(TOOL["csv_text"](rows).splitlines()))
    assert [line["mean"] for line in lines] == ["20.000", "50.000"] * 2
    assert lines[0]["std"] == "14.142" and lines[0]["values"] == "10.000 30.000"
    assert lines[2]["std"] == ""
    with pytest.raises(ValueError, match="--metrics AP: there are coco/bbox_mAP, coco/bbox_mAP_50"):
        TOOL["check_metrics"](records.values(), ["bbox_mAP", "AP"])
    TOOL["plot"](tmp_path / "a.png", rows, "bbox_mAP")
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_a_detector_without_one_of_the_metrics_has_a_dash(tmp_path, checkpoint, data):
    args = arguments(tmp_path, checkpoint, data, "--metrics", "bbox_mAP", "segm_mAP")
    runs = TOOL["plan"](args)
    found = [{"coco/bbox_mAP": 0.1}] * 2 + [{"coco/bbox_mAP": 0.1, "coco/segm_mAP": 0.2}] * 2
    records = {run: dict(metrics=m, seconds=1, loaded="") for run, m in zip(runs, found)}
    assert TOOL["summary"](records[runs[0]], args.metrics).startswith("bbox_mAP 10.0 segm_mAP -;")
    args.work_dir.mkdir()
    TOOL["write_report"](runs, records, args)
    table = (args.work_dir / "TABLE.md").read_text()
    assert "| plrc_epoch_1 | 0 3 | 10.0 ± 0.0 | - |" in table
    assert "| random | 0 3 | 10.0 ± 0.0 | 20.0 ± 0.0 |" in table
    lines = list(csv.DictReader((args.work_dir / "results.csv").open()))
    assert [line["mean"] for line in lines] == ["10.000", "", "10.000", "20.000"]
    TOOL["plot"](
        args.work_dir / "segm.png", TOOL["table_rows"](runs, records, args.metrics), "segm_mAP"
    )
    TOOL["check_metrics"](records.values(), args.metrics)
    assert {path.name for path in args.work_dir.iterdir()} == {
        "TABLE.md", "results.csv", "transfer.png", "segm.png",
    }  # fmt: skip


def test_processes_and_annotations_are_settings(tmp_path, checkpoint, data):
    def folders(*more):
        more = ["--init", "random", "--seeds", "0", *more]
        return {run.folder for run in TOOL["plan"](arguments(tmp_path, checkpoint, data, *more))}

    first = folders()
    assert folders("--gpus", "8") == first  # without a launcher there is one process
    assert not folders("--launcher", "pytorch", "--gpus", "8") & first
    for split in ("train", "val"):
        before = folders()
        path = data / f"annotations/instances_{split}2017.json"
        path.write_text(path.read_text() + " ")
        assert not folders() & before
    path.write_text("[]")
    (data / "annotations/instances_train2017.json").write_text("[]")
    with pytest.raises(ValueError, match=r"instances_train2017\.json: no COCO file"):
        folders()


class FakeTools:
    """Stands for train.py and test.py: what they log of a training of four steps."""

    def __init__(self, evaluated=(2, 4), code=0):
        self.evaluated, self.code, self.calls, self.ports = evaluated, code, [], []

    def __call__(self, command, stdout, stderr, env):
        tool = Path(command[1]).name
        self.calls.append(tool + (" --resume" if "--resume" in command else ""))
        self.ports.append(env["PORT"])
        folder = Path(command[command.index("--work-dir") + 1])
        if tool == "test.py":
            stdout.write("INFO - Loading from iter_4.pth: backbone 9/9, neck 9/9\n")
            self.write(folder / "1/1.json", [{"coco/bbox_mAP": 0.5}])
        elif "--resume" not in command:
            stdout.write("INFO - Loading from soco.pth: backbone 9/9\n")
            records = [{"coco/bbox_mAP": step / 10, "step": step} for step in self.evaluated]
            self.write(folder / "1/vis_data/scalars.json", [dict(loss=1.0, step=1), *records])
            (folder / "last_checkpoint").write_text("iter_4.pth")
        return self.code

    @staticmethod
    def write(path, records):
        path.parent.mkdir(parents=True)
        path.write_text("".join(json.dumps(record) + "\n" for record in records))


@pytest.fixture
def tools(monkeypatch):
    """FakeTools in the place of subprocesses; configs are not laid out, which takes long."""
    tools = FakeTools()
    monkeypatch.setattr(subprocess, "call", tools)
    monkeypatch.setattr(Config, "pretty_text", property(lambda cfg: ""))
    return tools


@pytest.mark.parametrize("evaluated", [(2,), ()])
def test_killed_while_its_last_evaluation_ran(evaluated, tmp_path, checkpoint, data, tools):
    args = arguments(tmp_path, checkpoint, data, "--seeds", "0")
    run = TOOL["plan"](args)[0]
    tools.evaluated, tools.code = evaluated, -9
    assert TOOL["execute"](run, args, 0)["error"].startswith("exit code -9: INFO - Load")
    tools.code = 0
    record = TOOL["execute"](run, args, 0)
    assert tools.calls == ["train.py", "train.py --resume", "test.py"]
    assert record["metrics"] == {"coco/bbox_mAP": 0.5}
    assert record["loaded"] == "soco.pth: backbone 9/9", "the checkpoint that it started from"


def test_a_finished_run_is_not_repeated_but_half_a_record_is(tmp_path, checkpoint, data, tools):
    args = arguments(tmp_path, checkpoint, data, "--seeds", "0")
    run = TOOL["plan"](args)[0]
    record = TOOL["execute"](run, args, 0)
    assert record["metrics"] == {"coco/bbox_mAP": 0.4, "step": 4}
    assert TOOL["execute"](run, args, 0) == record and tools.calls == ["train.py"]
    run.record.write_text(run.record.read_text()[:20])
    assert TOOL["execute"](run, args, 0)["metrics"] == {"coco/bbox_mAP": 0.5}


def test_trouble_of_one_run_does_not_end_the_others(tmp_path, checkpoint, data, tools):
    args = arguments(tmp_path, checkpoint, data, "--jobs", "2")
    runs = TOOL["plan"](args)
    runs[1].folder.parent.mkdir(parents=True)
    runs[1].folder.write_text("in the way")
    records = TOOL["execute_all"](runs, args, lambda records: None)
    assert [("error" in records[run]) for run in runs] == [False, True, False, False]
    assert "NotADirectoryError" in records[runs[1]]["error"]
    assert len(set(tools.ports)) == 3, "runs at the same time must not share a port"


@pytest.mark.slow
def test_a_failed_run_is_told_an_interrupted_one_resumed_a_finished_one_skipped(
    tmp_path, checkpoint, data, capsys
):
    options = [
        "train_cfg.max_iters=2",
        "train_cfg.val_interval=2",
        "default_hooks.checkpoint.interval=1",
        "test_dataloader.batch_size=1",
    ]
    for part in ("train", "val"):
        options += [
            f"{part}_dataloader.num_workers=0",
            f"{part}_dataloader.persistent_workers=False",
        ]
    call = ["--init", "random", "--detectors", str(DETECTOR), "--data", str(data)]
    call += ["--work-dir", str(tmp_path / "work"), "--json", str(tmp_path / "runs.json")]
    call += ["--cfg-options", "train_dataloader.batch_size=2", *options]

    (data / "val2017").rename(data / "away")
    (data / "val2017").mkdir()
    with pytest.raises(SystemExit, match="1 of 1 runs failed"):  # its evaluation finds no images
        TOOL["main"](call)
    assert "1 missing" in (tmp_path / "work/TABLE.md").read_text()
    (data / "val2017").rmdir()
    (data / "away").rename(data / "val2017")

    TOOL["main"](call)
    (log,) = (tmp_path / "work").rglob("log.txt")
    assert "resumed epoch: 0, iter: 2" in log.read_text()  # it had stopped while it evaluated
    (record,) = json.loads((tmp_path / "runs.json").read_text())
    (logged,) = (tmp_path / "work").rglob("test/*/*.json")  # it was resumed, then evaluated
    assert record["metrics"] == json.loads(logged.read_text())
    assert "coco/bbox_mAP" in record["metrics"]
    assert re.search(r"\(test\) *\[4/4\]", (log.parent / "test_log.txt").read_text())

    size = log.stat().st_size
    TOOL["main"](call)
    assert log.stat().st_size == size
    assert "| random | 0 |" in capsys.readouterr().out
