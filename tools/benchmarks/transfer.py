"""Fine-tune detectors from several initialisations and seeds, and put the results in one table.

Each run has a folder of its own below --work-dir, named after its settings. Called again, finished
runs are read from their record, interrupted ones resumed from their newest checkpoint, and failed
ones repeated. TABLE.md, results.csv and transfer.png are rewritten after every run.

The detectors' configs must accept any checkpoint, as those of configs/transfer do that name no
method, and `..._any.py` of configs/demo and configs/custom (docs/transfer.md).

Example:
    python tools/benchmarks/transfer.py --seeds 0 1 2 \\
        --init soco=work_dirs/soco/epoch_100.pth plrc=work_dirs/plrc/epoch_100.pth random \\
        --detectors configs/transfer/coco/mask-rcnn_r50_fpn_12k_coco.py --launcher pytorch --gpus 8
    # one's own COCO-format data, two runs at a time, shorter
    python tools/benchmarks/transfer.py --init random soco.pth --seeds 0 1 --jobs 2 \\
        --detectors configs/custom/faster-rcnn_r18-fpn_custom_any.py --data data/coco20 \\
        --cfg-options train_cfg.max_iters=300
"""

import argparse
import csv
import hashlib
import io
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from mmengine.config import Config, DictAction
from tqdm import tqdm

from mmregioncon.regions.atomic import atomic_path
from mmregioncon.utils.cli import plain_config_errors
from mmregioncon.utils.config_check import ConfigError, check_options, check_top_level
from mmregioncon.visualization.report import read_log

TOOLS = Path(__file__).resolve().parents[1]
# Where a folder of COCO format may have its training part; val is beside it
LAYOUTS = (
    ("annotations/instances_train2017.json", "train2017/"),
    ("annotations/instances_train.json", "train/"),
)
HOOK = "mmregioncon.LoadReportHook"


def parse_args(argv=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--init",
        nargs="+",
        required=True,
        metavar="[NAME=]FILE",
        help="checkpoints, or `random`; {seed} in NAME=FILE stands for the run's seed, where each "
        "seed has a pre-training of its own",
    )
    parser.add_argument("--detectors", nargs="+", required=True, type=Path, metavar="CONFIG")
    parser.add_argument(
        "--data",
        nargs="+",
        default=[None],
        metavar="[NAME=]FOLDER",
        help="folders in COCO format (annotations/instances_train[2017].json, train[2017]/, the "
        "same with val) in place of the configs' data; the classes are the file's",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/transfer"))
    parser.add_argument(
        "--metrics",
        nargs="+",
        default=["bbox_mAP", "bbox_mAP_50"],
        help="ends of the names of the last evaluation's figures",
    )
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm"], default="none")
    parser.add_argument("--gpus", type=int, default=1, help="processes of a run, with a launcher")
    parser.add_argument("--partition", help="of Slurm")
    parser.add_argument(
        "--jobs", type=int, default=1, help="runs at the same time; they share the visible GPUs"
    )
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, default={})
    parser.add_argument("--json", type=Path, help="also write all runs' records to this file")
    args = parser.parse_args(argv)
    if args.launcher == "slurm" and not args.partition:
        parser.error("--launcher slurm needs --partition")
    return args


@dataclass(frozen=True)
class Run:
    """One fine-tuning: what is told apart in the table, the folder and the config."""

    detector: str
    data: str
    init: str
    seed: int
    folder: Path
    cfg: Config

    @property
    def record(self) -> Path:
        """Written when the run has finished."""
        return self.folder / "result.json"

    @property
    def train_dir(self) -> Path:
        """MMEngine's work_dir."""
        return self.folder / "train"

    def __str__(self) -> str:
        return f"{self.detector} {self.data} {self.init} seed {self.seed}"


def named(text):
    """``NAME=PATH``, or a path that is named after its file and the folder that it is in."""
    name, found, path = text.partition("=")
    if found:
        return name, path
    path = Path(text)
    return (f"{path.parent.name}_{path.stem}" if path.suffix else path.name), text


def find_data(folder):
    """Files of a folder in COCO format, as :data:`LAYOUTS` has them.

    Returns:
        dict: ``{split: (annotation file, image folder)}``, relative to ``folder``.
    """
    for annotations, images in LAYOUTS:
        files = {"train": (annotations, images)}
        files["val"] = tuple(name.replace("train", "val") for name in files["train"])
        if all((folder / name).exists() for pair in files.values() for name in pair):
            return files
    layouts = " or ".join(f"{annotations} and {images}" for annotations, images in LAYOUTS)
    raise ConfigError(f"--data {folder}: it needs {layouts}, and the same with val for train")


@dataclass(frozen=True)
class Data:
    """A folder in COCO format: its files as :func:`find_data` has them, and what is in them."""

    folder: Path
    files: dict
    classes: tuple
    digest: bytes  # of both annotation files

    @classmethod
    def read(cls, folder):
        """Find the files of a folder and read its classes."""
        folder = Path(folder).resolve()
        files = find_data(folder)
        train, val = ((folder / files[split][0]).read_bytes() for split in ("train", "val"))
        try:
            classes = tuple(category["name"] for category in json.loads(train)["categories"])
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{folder / files['train'][0]}: no COCO file with categories "
                f"({type(error).__name__}: {error})"
            ) from error
        digests = (hashlib.sha256(content).digest() for content in (train, val))
        return cls(folder, files, classes, b"".join(digests))


def use_data(cfg, data):
    """Let a config train and evaluate on a :class:`Data`, with that one's classes."""
    folder, classes = data.folder, data.classes
    for part, split in (("train", "train"), ("val", "val"), ("test", "val")):
        annotations, images = data.files[split]
        dataset = cfg[f"{part}_dataloader"].dataset
        while "dataset" in dataset:  # RepeatDataset and its like
            dataset = dataset.dataset
        if str(dataset.type).split(".")[-1] != "CocoDataset":
            raise ConfigError(f"{cfg.filename}: --data replaces a CocoDataset, not {dataset.type}")
        dataset.update(data_root=f"{folder}/", ann_file=annotations, metainfo=dict(classes=classes))
        dataset.data_prefix = dict(img=images)
        if part != "train":
            cfg[f"{part}_evaluator"].ann_file = str(folder / annotations)
    set_everywhere(cfg.model, "num_classes", len(classes))


def set_everywhere(node, key, value):
    """Give a key of nested dicts and lists this value wherever it is."""
    if hasattr(node, "keys") and key in node:
        node[key] = value
    for child in node.values() if hasattr(node, "keys") else node:
        if isinstance(child, (dict, list, tuple)):
            set_everywhere(child, key, value)


def use_init(cfg, path):
    """Let a config start from a checkpoint or, for ``random``, from scratch."""
    hooks = [hook for hook in cfg.get("custom_hooks", []) if hook.get("type") == HOOK]
    if path == "random":
        cfg.load_from = None
        for hook in hooks:
            hook.allow_scratch = True
        return
    if not hooks:
        raise ConfigError(
            f"{cfg.filename} has no {HOOK} in custom_hooks, so nothing would tell what {path} "
            "fills: add a base of configs/transfer/_base_/init (docs/transfer.md)"
        )
    if "://" not in path and not Path(path).is_file():
        raise ConfigError(f"--init {path}: no such checkpoint")
    cfg.load_from = path if "://" in path else str(Path(path).resolve())


def read_detector(config, options):
    """A detector's config; typos in it and in the options are refused."""
    if not config.is_file():
        raise ConfigError(f"--detectors {config}: no such config file")
    cfg = Config.fromfile(config)
    check_top_level(cfg)
    check_options(cfg, options)
    return cfg


def plan(args):
    """All runs that the command line asks for, in the order of the table."""
    parsed = {config: read_detector(config, args.cfg_options) for config in args.detectors}
    sets = {data: Data.read(named(data)[1]) for data in args.data if data}
    runs = []
    for config, data, init, seed in product(args.detectors, args.data, args.init, args.seeds):
        cfg = deepcopy(parsed[config])
        data_name = named(data)[0] if data else "config's data"
        init_name, path = named(init)
        if data:
            use_data(cfg, sets[data])
        use_init(cfg, path.replace("{seed}", str(seed)))
        cfg.merge_from_dict(args.cfg_options | {"randomness.seed": seed})
        key = f"{init_name}_seed{seed}_{settings_hash(cfg, args, sets.get(data))}"
        place = args.work_dir / config.stem / data_name.replace(" ", "_") / key
        runs.append(Run(config.stem, data_name, init_name, seed, place, cfg))
    labels = [str(run) for run in runs]
    twice = {label for label in labels if labels.count(label) > 1}
    if twice:
        raise ConfigError(f"asked for twice: {', '.join(sorted(twice))}. Name them: NAME=PATH")
    return runs


def settings_hash(cfg, args, data):
    """Eight hex digits of what decides a run: config, processes, checkpoint, annotations."""
    gpus = 1 if args.launcher == "none" else args.gpus  # times the config's batch size
    settings = json.dumps([cfg.to_dict(), gpus], sort_keys=True, default=str)
    digest = hashlib.sha256(settings.encode() + (data.digest if data else b""))
    if cfg.load_from and Path(cfg.load_from).is_file():
        digest.update(Path(cfg.load_from).read_bytes())
    return digest.hexdigest()[:8]


def command_of(run, args):
    """The command that trains a run, going on where it stopped."""
    config = str(run.folder / "config.py")
    resume = ["--resume"] if (run.train_dir / "last_checkpoint").exists() else []
    work_dir = ["--work-dir", str(run.train_dir)]
    if args.launcher == "pytorch":
        script = ["bash", str(TOOLS / "dist_train.sh"), config, str(args.gpus)]
        return script + work_dir + resume
    if args.launcher == "slurm":
        script = ["bash", str(TOOLS / "slurm_train.sh"), args.partition, run.folder.name]
        return [*script, config, str(run.train_dir), *resume]
    return [sys.executable, str(TOOLS / "train.py"), config, *work_dir, *resume]


def execute(run, args, index):
    """Train a run; its record, or the reason why there is none.

    Returns:
        dict: With ``metrics``, or ``error``.
    """
    try:
        return finished(run) or train(run, args, index)
    except Exception as error:  # one run's trouble must not end the others
        return dict(error=f"{type(error).__name__}: {error} ({run.folder})")


def finished(run):
    """The record of a finished run; None without a readable one."""
    with suppress(FileNotFoundError, ValueError):
        return json.loads(run.record.read_text())


def train(run, args, index):
    """Train and evaluate a run that is not finished; returns what :func:`execute` does."""
    run.folder.mkdir(parents=True, exist_ok=True)
    run.cfg.dump(run.folder / "config.py")
    log, test_log, start = run.folder / "log.txt", run.folder / "test_log.txt", time.time()
    port = str(int(os.environ.get("PORT", 29500)) + index)
    env = os.environ | {"GPUS": str(args.gpus), "PORT": port}

    def failure(command, log):
        with log.open("a") as file:
            code = subprocess.call(command, stdout=file, stderr=file, env=env)
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        return code and dict(error=f"exit code {code}: {lines[-1] if lines else ''} ({log})")

    before = len(read_log(run.train_dir)[1])
    error = failure(command_of(run, args), log)
    evaluations = read_log(run.train_dir)[1]
    if not error and len(evaluations) == before:  # it was killed after its last step
        error = failure(evaluation_of(run, args), test_log)
        evaluations = tested(run)
    if error:
        return error
    if not evaluations:
        return dict(error=f"its evaluation has logged no figures ({log})")
    seconds = time.time() - start
    record = dict(metrics=evaluations[-1], seconds=seconds, loaded=loaded(log))
    write_text(run.record, json.dumps(record, indent=1))
    return record


def evaluation_of(run, args):
    """The command that evaluates a run's newest checkpoint."""
    checkpoint = (run.train_dir / "last_checkpoint").read_text().strip()
    command = [sys.executable, str(TOOLS / "test.py"), str(run.folder / "config.py"), checkpoint]
    srun = ["srun", "-p", args.partition, "--gres=gpu:1", "--ntasks=1"]
    command += ["--work-dir", str(run.folder / "test")]
    return srun + command if args.launcher == "slurm" else command


def tested(run):
    """Figures of the run's evaluations by itself, in their order."""
    return [json.loads(file.read_text()) for file in sorted((run.folder / "test").glob("*/*.json"))]


def loaded(log):
    """What LoadReportHook said of the checkpoint, empty without one."""
    text = log.read_text(errors="replace")
    lines = [line for line in text.splitlines() if " Loading from " in line]
    return lines[-1].partition(" Loading from ")[2] if lines else ""


def execute_all(runs, args, report):
    """Train all runs, ``args.jobs`` at a time; ``report(records)`` after each.

    Returns:
        dict: From run to record.
    """
    records = {}
    with ThreadPoolExecutor(args.jobs) as pool, tqdm(total=len(runs), unit="run") as bar:
        waiting = {pool.submit(execute, run, args, i): run for i, run in enumerate(runs)}
        try:
            for future in as_completed(waiting):
                run = waiting[future]
                records[run] = future.result()
                bar.update()
                bar.write(f"{run}: {summary(records[run], args.metrics)}")
                report(records)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return records


def summary(record, metrics):
    """A record in one line."""
    if "error" in record:
        return record["error"]
    values = " ".join(f"{name} {cell(pick(record, name))}" for name in metrics)
    return f"{values}; {record['seconds']:.0f} s; {record['loaded'] or 'from scratch'}"


def pick(record, metric):
    """The figure whose name ends so, in per cent: a list of one, or of none."""
    metrics = record["metrics"]
    found = [name for name in metrics if name.split("/")[-1] == metric or name == metric]
    return [100 * float(metrics[name]) for name in found[:1]]


def check_metrics(records, metrics):
    """Stop if a metric is in no record."""
    known = dict.fromkeys(name for r in records for name in r.get("metrics", {}) if name != "step")
    for metric in metrics:
        if known and not any(pick(record, metric) for record in records if "metrics" in record):
            raise ConfigError(f"--metrics {metric}: there are {', '.join(known)}")


def table_rows(runs, records, metrics):
    """One row a detector, data set and init: seeds, and each metric's values in per cent."""
    groups = {}
    for run in runs:
        groups.setdefault((run.detector, run.data, run.init), []).append(run)
    rows = []
    for (detector, data, init), group in groups.items():
        done = [run for run in group if "metrics" in records.get(run, {})]
        row = dict(detector=detector, data=data, init=init, asked=len(group))
        row["seeds"] = [run.seed for run in done]
        row["values"] = {m: [v for run in done for v in pick(records[run], m)] for m in metrics}
        rows.append(row)
    return rows


def mean_and_spread(values):
    """Mean and sample standard deviation (None where they need more values)."""
    mean = statistics.fmean(values) if values else None
    return mean, statistics.stdev(values) if len(values) > 1 else None


def cell(values):
    """Mean and spread as text, ``-`` of no values."""
    mean, spread = mean_and_spread(values)
    if mean is None:
        return "-"
    return f"{mean:.1f}" if spread is None else f"{mean:.1f} ± {spread:.1f}"


def markdown(rows, metrics):
    """The table: mean and sample standard deviation over the seeds, in per cent."""
    lines = ["| detector | data | init | seeds | " + " | ".join(metrics) + " |"]
    lines.append("|---" * (4 + len(metrics)) + "|")
    for row in rows:
        seeds = " ".join(map(str, row["seeds"])) or "-"
        if len(row["seeds"]) < row["asked"]:
            seeds += f" ({row['asked'] - len(row['seeds'])} missing)"
        cells = [row["detector"], row["data"], row["init"], seeds]
        cells += [cell(row["values"][metric]) for metric in metrics]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def csv_text(rows):
    """One line a metric of a row: mean, spread and the seeds' values, in per cent."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(["detector", "data", "init", "metric", "seeds", "mean", "std", "values"])
    for row in rows:
        for metric, values in row["values"].items():
            figures = [row["detector"], row["data"], row["init"], metric]
            seeds, texts = map(str, row["seeds"]), (f"{value:.3f}" for value in values)
            mean, spread = ("" if v is None else f"{v:.3f}" for v in mean_and_spread(values))
            writer.writerow([*figures, " ".join(seeds), mean, spread, " ".join(texts)])
    return file.getvalue()


def plot(path, rows, metric):
    """A panel for each detector and data set: every seed a point, the mean a bar."""
    from matplotlib.figure import Figure

    panels = list(dict.fromkeys((row["detector"], row["data"]) for row in rows))
    longest = max(sum((row["detector"], row["data"]) == panel for row in rows) for panel in panels)
    figure = Figure(figsize=(7, len(panels) * (1.2 + 0.35 * longest)), layout="constrained")
    for axes, panel in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels):
        shown = [row for row in rows if (row["detector"], row["data"]) == panel]
        for y, row in enumerate(shown):
            values = row["values"][metric]
            axes.barh(y, mean_and_spread(values)[0] or 0, color="#c7d7f5")
            axes.plot(values, [y] * len(values), "o", color="#1f4fa3", markersize=5)
        axes.set_yticks(range(len(shown)), [row["init"] for row in shown])
        axes.invert_yaxis()
        axes.set_title(", ".join(panel), loc="left", fontsize=10)
        axes.set_xlabel(f"{metric}, %")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")


def write_text(path, text):
    """Write a file whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, newline="")


def write_report(runs, records, args):
    """Table, CSV, plot and, if asked for, JSON of what there is so far."""
    rows = table_rows(runs, records, args.metrics)
    write_text(args.work_dir / "TABLE.md", markdown(rows, args.metrics))
    write_text(args.work_dir / "results.csv", csv_text(rows))
    plot(args.work_dir / "transfer.png", rows, args.metrics[0])
    if args.json:
        keys = ("detector", "data", "init", "seed")
        content = [{k: getattr(r, k) for k in keys} | records[r] for r in runs if r in records]
        write_text(args.json, json.dumps(content, indent=1))


def main(argv=None):
    """Plan, train, report; exit code 1 if a run has failed."""
    args = parse_args(argv)
    with plain_config_errors():
        runs = plan(args)
        args.work_dir.mkdir(parents=True, exist_ok=True)
        records = execute_all(runs, args, lambda records: write_report(runs, records, args))
        print((args.work_dir / "TABLE.md").read_text())
        check_metrics(records.values(), args.metrics)
    print(f"{args.work_dir}/: TABLE.md, results.csv, transfer.png, and a folder a run with log.txt")
    failed = [str(run) for run in runs if "error" in records[run]]
    if failed:
        sys.exit(f"error: {len(failed)} of {len(runs)} runs failed: {'; '.join(failed)}")


if __name__ == "__main__":
    main()
