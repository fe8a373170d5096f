import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.runner import BaseLoop, Runner
from torch import nn

from mmregioncon.engine.hooks.load_report import LoadReportHook, match_module, rename_keys
from mmregioncon.registry import HOOKS

MODULES = {"backbone": "backbone.", "bbox_head trunk": "roi_head.bbox_head.shared_"}


class TinyDetector(BaseModel):
    """A backbone of 7 keys (2 of conv, 5 of BN), a trunk of 2 and an unchecked classifier."""

    def __init__(self, width=4):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, width, 1), nn.BatchNorm2d(width))
        bbox_head = nn.ModuleDict({"shared_fcs": nn.Linear(width, 2), "fc_cls": nn.Linear(2, 2)})
        self.roi_head = nn.ModuleDict({"bbox_head": bbox_head})

    def forward(self, inputs, data_samples=None, mode="loss"):
        feats = self.backbone(torch.stack(list(inputs))).mean((2, 3))
        head = self.roi_head["bbox_head"]
        return dict(loss=head["fc_cls"](head["shared_fcs"](feats)).sum())


def pretrained(width=4):
    """State dict of a pre-training model: no classifier, but a projector and a teacher."""
    state = {k: v + 7 for k, v in TinyDetector(width).state_dict().items() if "fc_cls" not in k}
    extra = {"projector.weight": torch.ones(2), "teacher.module.backbone.0.weight": torch.ones(2)}
    return {**state, **extra}


def without(state, *parts):
    return {k: v for k, v in state.items() if not any(p in k for p in parts)}


class Recorder(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(f"{record.levelname}: {record.getMessage()}")


class NoLoop(BaseLoop):
    """Stands for the loop that a runner has built when it trains."""

    def __init__(self):
        pass

    def run(self):
        pass


def fake_runner(model=None, load_from="pretrain.pth", resume=False, loop=None):
    logger = logging.Logger("test")
    recorder = Recorder()
    logger.addHandler(recorder)
    return SimpleNamespace(
        model=model or TinyDetector(),
        logger=logger,
        lines=recorder.lines,
        _load_from=load_from,
        _resume=resume,
        _train_loop=loop or NoLoop(),
    )


def report(checkpoint, modules=MODULES, options=None, **runner):
    runner = fake_runner(**runner)
    hook = LoadReportHook(modules, **(options or {}))
    hook.after_load_checkpoint(runner, checkpoint)
    hook.before_train(runner)
    return runner.lines


@pytest.mark.parametrize(
    "checkpoint",
    [
        dict(state_dict=pretrained(), meta={}),
        pretrained(),
        dict(state_dict={f"module.{k}": v for k, v in pretrained().items()}),
    ],
    ids=["full", "top-level", "module-prefix"],
)
def test_everything_loads(checkpoint):
    lines = report(checkpoint)
    assert lines == ["INFO: Loading from pretrain.pth: backbone 7/7, bbox_head trunk 2/2"]


PARTIAL = {
    "some missing": (
        without(pretrained(), "1.running_mean", "1.bias"),
        "backbone 5/7, bbox_head trunk 2/2",
        "lacks 2 keys of the backbone, which keep their initial values: "
        "backbone.1.bias, backbone.1.running_mean",
    ),
    "batch counters missing": (
        without(pretrained(), "num_batches_tracked"),
        "backbone 6/7 (the rest: num_batches_tracked), bbox_head trunk 2/2",
        None,
    ),
    "deeper": (
        {**pretrained(), "backbone.9.weight": torch.ones(1)},
        "backbone 7/7, bbox_head trunk 2/2",
        "has 1 keys that the detector's backbone has no place for ('backbone.9.weight')",
    ),
}


@pytest.mark.parametrize("state, counts, warning", PARTIAL.values(), ids=PARTIAL.keys())
def test_partial_load_is_counted_and_warned_of(state, counts, warning):
    lines = report(dict(state_dict=state))
    assert lines[0].endswith(counts)
    assert len(lines) == (2 if warning else 1)
    if warning:
        assert lines[1].startswith("WARNING: pretrain.pth") and warning in lines[1]


FAILURES = {
    "nothing for the trunk": (
        without(pretrained(), "shared_"),
        MODULES,
        r"pretrain\.pth has nothing for the bbox_head trunk.*'roi_head\.bbox_head\.shared_fcs\."
        r"weight'.*checkpoint has 'backbone\.0\.weight'.*drop 'bbox_head trunk' from modules",
    ),
    "other names": (
        {f"encoder.{k}": v for k, v in pretrained().items()},
        MODULES,
        r"nothing for the backbone.*checkpoint has 'encoder\.backbone\.0\.weight'",
    ),
    "no tensors": ({"opt": "x"}, MODULES, "the checkpoint has no tensors"),
    "other architecture": (
        pretrained(width=8),
        MODULES,
        r"pretrain\.pth: 6 shapes of the backbone differ: 'backbone\.0\.weight' is "
        r"\(8, 3, 1, 1\) in the checkpoint and \(4, 3, 1, 1\) in the detector",
    ),
    "no such module": (
        pretrained(),
        {"neck": "neck."},
        r"no parameters that start with 'neck\.'.*modules\['neck'\] of LoadReportHook",
    ),
}


@pytest.mark.parametrize("state, modules, message", FAILURES.values(), ids=FAILURES.keys())
def test_failures_name_file_module_keys_and_remedy(state, modules, message):
    with pytest.raises(ValueError, match=message):
        report(dict(state_dict=state), modules)


def test_counts_are_logged_before_failing():
    runner = fake_runner()
    with pytest.raises(ValueError, match="nothing"):
        LoadReportHook(MODULES).after_load_checkpoint(runner, without(pretrained(), "shared_"))
    assert runner.lines == ["INFO: Loading from pretrain.pth: backbone 7/7, bbox_head trunk 0/2"]


@pytest.mark.parametrize(
    "resume, message", [(False, "load_from is not set"), (True, "no checkpoint to resume")]
)
def test_nothing_loaded_refuses_to_train(resume, message):
    runner = fake_runner(load_from=None, resume=resume)
    with pytest.raises(ValueError, match=rf"{message}.*load_from=FILE.*allow_scratch=True"):
        LoadReportHook(MODULES).before_train(runner)
    LoadReportHook(MODULES, allow_scratch=True).before_train(runner)


def test_resume_is_not_checked():
    assert report(dict(state_dict={}), resume=True) == []


def test_allow_scratch_still_checks_what_is_loaded():
    with pytest.raises(ValueError, match="nothing for the backbone"):
        hook = LoadReportHook(MODULES, allow_scratch=True)
        hook.after_load_checkpoint(fake_runner(), dict(state_dict={}))


def test_ddp_wrapped_model(tmp_path):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/sync", rank=0, world_size=1
    )
    try:
        lines = report(pretrained(), model=MMDistributedDataParallel(TinyDetector()))
    finally:
        torch.distributed.destroy_process_group()
    assert lines[0].endswith("backbone 7/7, bbox_head trunk 2/2")


OPTIONAL = dict(optional={"trunk": "roi_head.bbox_head.shared_", "neck": "neck."})
BACKBONE = {"backbone": "backbone."}


@pytest.mark.parametrize(
    "state, lines",
    [
        (pretrained(), ["INFO: Loading from pretrain.pth: backbone 7/7, trunk 2/2"]),
        (
            without(pretrained(), "shared_"),
            [
                "INFO: Loading from pretrain.pth: backbone 7/7",
                "INFO: Not loaded, so from scratch: trunk: the checkpoint has none of it",
            ],
        ),
        (
            without(pretrained(), "shared_fcs.bias"),
            [
                "INFO: Loading from pretrain.pth: backbone 7/7",
                "INFO: Not loaded, so from scratch: trunk: the checkpoint lacks 1 of 2 keys: "
                "'roi_head.bbox_head.shared_fcs.bias'",
            ],
        ),
        (
            {**pretrained(), "roi_head.bbox_head.shared_fcs.weight": torch.ones(2, 8)},
            [
                "INFO: Loading from pretrain.pth: backbone 7/7",
                "INFO: Not loaded, so from scratch: trunk: 1 of 2 shapes differ: "
                "'roi_head.bbox_head.shared_fcs.weight' is (2, 8) in the checkpoint and (2, 4) in "
                "the detector",
            ],
        ),
    ],
    ids=["whole", "none", "partial", "other shape"],
)
def test_an_optional_module_is_taken_whole_or_left_out_with_the_reason(state, lines):
    checkpoint = dict(state_dict=dict(state))
    assert report(checkpoint, BACKBONE, OPTIONAL) == lines
    kept = {key.split(".")[0] for key in checkpoint["state_dict"]}
    assert kept == ({"backbone", "roi_head"} if len(lines) == 1 else {"backbone"})


def test_what_is_no_module_of_the_hook_is_left_out_of_a_training_but_not_of_a_test():
    lines = report(checkpoint := dict(state_dict=pretrained()), BACKBONE)
    assert lines[1:] == ["INFO: Left out, being none of the hook's modules: roi_head (2 keys)"]
    assert set(checkpoint["state_dict"]) == {k for k in pretrained() if k.startswith("backbone.")}

    lines = report(checkpoint := dict(state_dict=pretrained()), BACKBONE, loop=dict(max_iters=2))
    assert len(lines) == 1 and set(checkpoint["state_dict"]) == set(pretrained())


def test_keys_are_renamed_before_they_are_matched():
    state = {key.replace("backbone.0", "backbone.5"): v for key, v in pretrained().items()}
    state["backbone.0.weight"] = torch.ones(9)  # of another level: gives way
    renames = {"backbone.5.": "backbone.0."}
    checkpoint = dict(state_dict=dict(state))
    assert report(checkpoint, options=dict(renames=renames))[0].endswith(
        "backbone 7/7, bbox_head trunk 2/2"
    )
    loaded = checkpoint["state_dict"]["backbone.0.weight"]
    assert torch.equal(loaded, state["backbone.5.weight"])


def test_keys_that_fit_as_they_are_are_not_renamed():
    """A checkpoint of the detector itself has other levels under the names to be replaced."""
    state = pretrained()
    state["backbone.5.weight"] = torch.zeros(1)  # a further level
    checkpoint = dict(state_dict=dict(state))
    report(checkpoint, options=dict(renames={"backbone.5.": "backbone.0."}))
    assert torch.equal(checkpoint["state_dict"]["backbone.0.weight"], state["backbone.0.weight"])


def test_renames_of_a_chain_are_made_all_at_once():
    state = {"a.0.w": 0, "a.1.w": 1, "a.2.w": 2, "b": 3}
    rename_keys(state, {"a.1.": "a.0.", "a.2.": "a.1."})
    assert state == {"a.0.w": 1, "a.1.w": 2, "b": 3}


def test_match_module_ignores_other_prefixes():
    match = match_module(TinyDetector().state_dict(), pretrained(), "roi_head.bbox_head.shared_")
    assert sorted(match.loaded) == [
        f"roi_head.bbox_head.shared_fcs.{p}" for p in ("bias", "weight")
    ]
    assert not (match.missing or match.other_shape or match.unused)


def run(work_dir, **kwargs):
    """Train TinyDetector for two iterations with MMEngine's Runner and the hook."""
    data = [dict(inputs=torch.ones(3, 2, 2), data_samples=0)] * 2
    runner = Runner(
        model=TinyDetector(),
        work_dir=str(work_dir),
        train_dataloader=dict(
            dataset=data, batch_size=2, sampler=dict(type="InfiniteSampler", shuffle=False)
        ),
        train_cfg=dict(by_epoch=False, max_iters=2),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.0)),
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", interval=2, by_epoch=False)),
        custom_hooks=[dict(type="mmregioncon.LoadReportHook", modules=MODULES)],
        experiment_name=work_dir.name,
        **kwargs,
    )
    runner.train()
    return runner


def test_in_a_runner_from_load_from_to_resume(tmp_path):
    assert HOOKS.get("LoadReportHook") is LoadReportHook
    checkpoint = tmp_path / "pretrain.pth"
    torch.save(dict(state_dict=pretrained()), checkpoint)

    with pytest.raises(ValueError, match="load_from is not set"):
        run(tmp_path / "scratch")
    with pytest.raises(ValueError, match="no checkpoint to resume"):
        run(tmp_path / "empty", resume=True)

    runner = run(tmp_path / "tuned", load_from=str(checkpoint))
    loaded = runner.model.state_dict()["backbone.0.weight"]
    assert torch.equal(
        loaded, torch.load(checkpoint, weights_only=True)["state_dict"]["backbone.0.weight"]
    )

    log = (tmp_path / "tuned" / runner.timestamp / f"{runner.timestamp}.log").read_text()
    assert f"Loading from {checkpoint}: backbone 7/7, bbox_head trunk 2/2" in log

    resumed = run(tmp_path / "tuned", resume=True)
    assert resumed.iter == 2
