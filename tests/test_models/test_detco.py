"""DetCo as a whole, on a ResNet-18 of few channels."""

import math

import pytest
import torch
from test_distributed import in_two_processes
from tiny_detco import tiny_detco, tiny_views
from tiny_models import (
    check_bfloat16,
    check_gradients,
    finite_step,
    online_gradients,
    step,
    total,
    trainable,
    untouched,
)
from torch.nn.modules.batchnorm import _BatchNorm

from mmregioncon.models.algorithms.detco import split_patches
from mmregioncon.models.necks import StageProjector


def test_gradient_reaches_all_that_is_online_and_nothing_else():
    model = tiny_detco()
    losses = step(model, [tiny_views(batch_size=8)])
    assert list(losses) == ["loss_gg", "loss_ll", "loss_gl"]
    check_gradients(model, ["backbone", "projector"])


def test_heads_and_queues_are_one_for_each_stage_and_kind():
    model = tiny_detco(projector__hid_channels=None)
    assert list(model.teacher.module) == ["backbone", "projector"]
    for kind, parts in (("global", 1), ("local", 9)):
        heads = model.projector.heads[kind]
        shapes = [[layer.weight.shape for layer in head.mlp[::2]] for head in heads]
        assert shapes == [[(c, parts * c), (16, c)] for c in (8, 16, 32, 64)]
        assert [queue.negatives().shape for queue in model.queues[kind]] == [(24, 16)] * 4
    assert not list(model.queues.parameters())
    kept = [name for name in model.state_dict() if name.startswith("queues.")]
    assert len(kept) == 2 * 8, "keys and position"


@pytest.mark.parametrize("hidden, widths", [(24, [24] * 4), ((8, 9, 10, 11), [8, 9, 10, 11])])
def test_hidden_width(hidden, widths):
    projector = tiny_detco(projector__hid_channels=hidden).projector
    for heads in projector.heads.values():
        assert [head.mlp[0].out_features for head in heads] == widths


@pytest.mark.parametrize(
    "terms, kinds, names",
    [
        (("gg",), (0,), ["loss_gg"]),
        (("ll",), (1,), ["loss_ll"]),
        (("gg", "ll"), (0, 1), ["loss_gg", "loss_ll"]),
        (("gg", "gl"), (0, 1), ["loss_gg", "loss_gl"]),
    ],
)
def test_terms_choose_heads_queues_and_views(terms, kinds, names):
    model = tiny_detco(terms=terms)
    losses = step(model, [tiny_views(kinds=kinds)])
    assert list(losses) == names and not untouched(model)
    assert list(model.projector.heads) == [("global", "local")[kind] for kind in kinds]
    keys = {dict(gg="global", ll="local", gl="global")[term] for term in terms}
    assert set(model.queues) == keys
    assert len(model.backbone_inputs(tiny_views(kinds=kinds))[1]) == len(keys)
    with pytest.raises(ValueError, match=r"model.terms=.* needs a query and a key view"):
        model(tiny_views(kinds=(0, 0, 1)), mode="loss")


def test_stages_can_be_chosen():
    model = tiny_detco(
        backbone__out_indices=(2, 3),
        projector__in_channels=[32, 64],
        head__stage_weights=(0.5, 1.0),
    )
    step(model, [tiny_views()])
    assert not untouched(model) and len(model.queues["local"]) == 2


def test_stages_after_the_last_that_is_contrasted_are_refused():
    """They would get no gradient, which DDP does not forgive."""
    shallow = dict(
        backbone__out_indices=(0, 1), projector__in_channels=[8, 16], head__stage_weights=(0.5, 1.0)
    )
    with pytest.raises(ValueError, match=r"ends with 1, .*set model.backbone.num_stages=2"):
        tiny_detco(**shallow)
    cut = dict(backbone__num_stages=2, backbone__strides=(1, 2), backbone__dilations=(1, 1))
    model = tiny_detco(**shallow, **cut)
    step(model, [tiny_views()])
    assert not untouched(model)


def test_a_stage_without_weight_trains_nothing():
    model = tiny_detco(head__stage_weights=(0, 0, 0, 1.0))
    step(model, [tiny_views()])
    expected = [f"projector.heads.{k}.{i}." for k in ("global", "local") for i in range(3)]
    assert {name.rsplit("mlp", 1)[0] for name in untouched(model)} == set(expected)


@pytest.mark.parametrize(
    "options",
    [
        dict(head__stage_weights=(1.0,)),
        dict(projector__in_channels=[8, 16]),
        dict(backbone__out_indices=(3,)),
    ],
)
def test_stages_must_agree(options):
    message = "model.projector.in_channels has .*stage_weights has .*out_indices has "
    with pytest.raises(ValueError, match=message):
        tiny_detco(**options)


def test_hidden_widths_must_agree():
    with pytest.raises(ValueError, match=r"hid_channels=\(8, 9\) must be one number, or one for"):
        tiny_detco(projector__hid_channels=[8, 9])


def test_views_pass_batch_norm_one_by_one():
    model, sizes = tiny_detco(), dict(online=[], teacher=[])
    networks = dict(online=model.backbone, teacher=model.teacher.module["backbone"])
    for name, backbone in networks.items():
        backbone.register_forward_pre_hook(lambda _, x, name=name: sizes[name].append(x[0].shape))
    views = tiny_views()
    step(model, [views])
    assert sizes["online"] == sizes["teacher"] == [(4, 3, 32, 32), (36, 3, 16, 16)]
    online, teacher = model.backbone_inputs(views)
    assert [view.shape for view in online] == [view.shape for view in teacher] == sizes["online"]
    for fed, view in zip((online[0], teacher[0]), views):
        assert fed is view, "first the query, then the key"
    for fed, view in zip((online[1], teacher[1]), views[2:]):
        assert torch.equal(fed, split_patches(view, 9))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_strips_become_patches(layout):
    strips = torch.arange(2 * 3 * 4 * 12.0).view(2, 3, 4, 12).contiguous(memory_format=layout)
    patches = split_patches(strips, 3)
    assert patches.is_contiguous(memory_format=layout)
    expected = [strip[:, :, start : start + 4] for strip in strips for start in (0, 4, 8)]
    assert torch.equal(patches, torch.stack(expected))


def test_number_of_patches_must_agree():
    message = "16 x 64 pixels does not hold model.projector.num_patches=9 .*JigsawPatches.grid"
    with pytest.raises(ValueError, match=message):
        tiny_detco()(tiny_views(patches=4), mode="loss")
    step(tiny_detco(projector__num_patches=4), [tiny_views(patches=4)])


def test_patches_are_put_together_in_the_order_in_which_they_were_fed(golden):
    data = {k: torch.from_numpy(v) for k, v in golden("detco_unofficial").items() if "rearr" in k}
    # the record has the first patch of all images first
    feats = data["rearrange_in"].unflatten(0, (9, 2)).transpose(0, 1).flatten(0, 1)
    projector, seen = StageProjector([3], num_patches=9), []
    projector.heads["local"][0].register_forward_pre_hook(lambda _, args: seen.extend(args[0]))
    embedded = projector([feats.expand(-1, -1, 4, 2)], "local")
    torch.testing.assert_close(seen[0], data["rearrange_out"].flatten(1))
    assert embedded.shape == (2, 1, 128)
    torch.testing.assert_close(embedded.norm(dim=-1), torch.ones(2, 1))


def test_only_training_moves_teacher_and_queues():
    model, views = tiny_detco(), tiny_views()
    before = model.queues["local"][3].negatives().clone()
    with torch.no_grad():
        model.eval()(views, mode="loss")
        assert model.teacher.steps == 0 and model.queues["global"][0].position == 0
        model.train()(views, mode="loss")
    assert model.teacher.steps == 1
    assert all(queue.position == 4 for kind in model.queues.values() for queue in kind)
    after = model.queues["local"][3].negatives()
    assert torch.equal(after[4:], before[4:]) and not torch.equal(after[:4], before[:4])


def test_queues_get_the_keys_of_their_stage():
    model, views = tiny_detco(), tiny_views()
    norms_in_eval_mode(model)
    model(views, mode="loss")
    for kind, view in (("global", views[1]), ("local", views[3])):
        with torch.no_grad():
            keys = model.embed(model.teacher.module, view, kind)
        for stage, queue in enumerate(model.queues[kind]):
            torch.testing.assert_close(queue.negatives()[:4], keys[:, stage])


def test_a_checkpoint_goes_on_where_it_was():
    model, resumed = tiny_detco(), tiny_detco(seed=1)
    model(tiny_views(), mode="loss")
    resumed.load_state_dict(model.state_dict())
    second = [one(tiny_views(seed=1), mode="loss") for one in (model, resumed)]
    torch.testing.assert_close(*second, rtol=0, atol=0)


def test_channels_last_is_the_same_maths():
    views, results = tiny_views(), []
    for channels_last in (True, False):
        model = tiny_detco(channels_last=channels_last)
        model.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
        batch = dict(inputs=[view.mul(50).byte() for view in views], data_samples=[])
        inputs = model.data_preprocessor(batch)["inputs"]
        layout = torch.channels_last if channels_last else torch.contiguous_format
        fed = [view for views in model.backbone_inputs(inputs) for view in views]
        assert all(view.is_contiguous(memory_format=layout) for view in fed)
        results.append((step(model, [inputs]), online_gradients(model)))
    torch.testing.assert_close(*results, rtol=1e-2, atol=1e-3)


def test_bfloat16_is_close_to_float32():
    model = tiny_detco()
    check_bfloat16(model, [tiny_views(batch_size=8)], abs=0.1)
    assert not untouched(model)


def test_overfits_eight_images():
    """Two halves in turn, so that the queue holds the keys of the other half's images."""
    model = tiny_detco(queue__length=4, teacher__momentum=0.9)
    halves = [tiny_views(seed=seed) for seed in range(2)]
    for views in halves:  # a key shows nearly what its query does
        for query in (0, 2):
            views[query + 1] = views[query] + 0.1 * torch.randn_like(views[query])
    optimizer = torch.optim.AdamW(trainable(model), lr=1e-3)
    losses = []
    for turn in range(30):
        losses.append(float(total(step(model, [halves[turn % 2]]))))
        optimizer.step()
    by_chance = 3 * 2.2 * math.log(1 + 4)  # terms, weights of the stages, the key and four others
    assert max(losses[-2:]) < 0.3 * by_chance < losses[1], losses


@pytest.mark.parametrize(
    "views",
    [
        tiny_views(batch_size=2, image=32, patch=32),
        [torch.zeros_like(view) for view in tiny_views()],
        [view[:1].expand_as(view).contiguous() for view in tiny_views()],
    ],
    ids=["two images", "uniform images", "all images alike"],
)
def test_degenerate_batches(views):
    finite_step(tiny_detco(), [views])


def test_batch_of_one():
    """Maps of one place leave BatchNorm a single value; larger images do not."""
    model = tiny_detco()
    with pytest.raises(ValueError, match="more than 1 value per channel when training"):
        step(model, [tiny_views(batch_size=1, image=32)])
    finite_step(model, [tiny_views(batch_size=1, image=64)])


def test_more_images_than_the_queue_is_long():
    with pytest.raises(ValueError, match="keys of one step do not fit .*model.queue.length"):
        tiny_detco(queue__length=3)(tiny_views(), mode="loss")


def norms_in_eval_mode(model):
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.eval()


def two_steps(views, rank=0, world=1):
    """Losses of two steps and what they leave behind, on this rank's share of the views."""
    model = tiny_detco()
    norms_in_eval_mode(model)
    wrapped = torch.nn.parallel.DistributedDataParallel(model) if world > 1 else model
    optimizer = torch.optim.SGD(trainable(model), lr=0.1)
    losses = []
    for batch in views:
        mine = [view.chunk(world)[rank] for view in batch]
        optimizer.zero_grad()
        parts = wrapped(mine, mode="loss")
        total(parts).backward()
        optimizer.step()
        losses.append(torch.stack(list(parts.values())).detach())
    return losses, model.state_dict()


def work(rank, out):
    views = [tiny_views(batch_size=4, seed=seed) for seed in range(2)]
    torch.save(two_steps(views, rank, world=2), out / f"rank{rank}.pth")


@pytest.mark.slow
def test_two_ranks_are_one_with_the_joint_batch(tmp_path):
    in_two_processes(work, tmp_path)
    (losses0, state0), (losses1, state1) = (
        torch.load(tmp_path / f"rank{r}.pth", weights_only=True) for r in (0, 1)
    )
    torch.testing.assert_close(state0, state1, rtol=0, atol=0)
    losses, state = two_steps([tiny_views(batch_size=4, seed=seed) for seed in range(2)])
    mean = [(first + second) / 2 for first, second in zip(losses0, losses1)]
    torch.testing.assert_close(mean, losses, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(state0, state, rtol=1e-3, atol=1e-4)
