import torch

from mmregioncon.models.necks import DenseProjector, PrototypeHead


def test_projector_is_the_same_at_each_location():
    projector = DenseProjector(3, 7, 5)
    feat = torch.randn(2, 3, 4, 6, generator=torch.manual_seed(0))
    whole = projector(feat)
    assert whole.shape == (2, 5, 4, 6)
    torch.testing.assert_close(projector(feat[:, :, 1:2, 2:3]), whole[:, :, 1:2, 2:3])
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in projector.modules())


def test_prototype_head_is_that_of_the_original(golden):
    data = {name: torch.from_numpy(value) for name, value in golden("plrc_projhead").items()
            if value.ndim}  # fmt: skip
    state = {name[3:]: value for name, value in data.items() if name.startswith("sd/")}
    assert (state.pop("last_layer.weight_g") == 1).all(), "our prototypes have unit length"
    state["prototypes"] = state.pop("last_layer.weight_v")
    for key, norm in dict(dy0=2, dy1=1).items():
        for mode in ("eval", "train"):
            head = PrototypeHead(12, 14, 6, 10, bottleneck_norm=norm).train(mode == "train")
            missing = head.load_state_dict(state, strict=False).missing_keys
            assert all(name.endswith("num_batches_tracked") for name in missing)
            # the original's nine vectors as nine places of a map
            out = head(data["x"].T[None, :, None])
            torch.testing.assert_close(out[0, :, 0].T, data[f"{mode}_{key}_out"])
