"""Checkpoint files: what is read, what is refused, what is written."""

import argparse
import os
import pickle
import subprocess
import sys
from collections import OrderedDict

import numpy as np
import pytest
import torch

from mmregioncon.converters import (
    CheckpointError,
    encode_checkpoint,
    find_tensors,
    read_checkpoint,
    write_file,
)

ARRAYS = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a.big_endian": np.arange(3, dtype=">f4"),
    "a.num_batches_tracked": np.array(7),
    "a.scalar": np.float64(0.5),
    "a.fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
}


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_arrays_are_read(protocol, tmp_path):
    content = dict(model=OrderedDict(ARRAYS), __author__="x", matching_heuristics=True, raw=b"\xff")
    (tmp_path / "d2.pkl").write_bytes(pickle.dumps(content, protocol))
    read = read_checkpoint(tmp_path / "d2.pkl")
    tensors = find_tensors(read, "d2.pkl")
    for key, array in ARRAYS.items():
        np.testing.assert_array_equal(tensors[key].numpy(), array)
    assert read["raw"] == b"\xff" and read["matching_heuristics"] is True


def test_python2_pickle_is_read(tmp_path):
    """Protocol 2 as Python 2 wrote it: ``str`` for texts and for the arrays' bytes."""
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    dtype = b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
    dtype += b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    data = b"(K\x01K\x02\x85" + dtype + b"\x89U\x08" + np.float32([1.5, -2]).tobytes() + b"tb"
    content = b"\x80\x02}U\x05model}U\x01w" + array + data + b"ss."
    (tmp_path / "old.pkl").write_bytes(content)
    tensors = find_tensors(read_checkpoint(tmp_path / "old.pkl"), "old.pkl")
    assert tensors["w"].tolist() == [1.5, -2.0]


class Runs:
    """Pickles as a call of ``function(*args)``."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "evil, name",
    [
        (Runs(os.system, "true"), r"posix\.system"),
        (Runs(eval, "1"), r"builtins\.eval"),
        (Runs(getattr, dict, "fromkeys"), r"builtins\.getattr"),
        (argparse.Namespace(lr=1), r"argparse\.Namespace"),
        (subprocess.Popen, r"subprocess\.Popen"),
        (torch.ones(1), r"torch\._utils\._rebuild_tensor_v2"),
    ],
)
def test_pickle_with_code_is_refused_by_name(evil, name, tmp_path):
    for protocol in (0, 2, 4):
        (tmp_path / "bad.pkl").write_bytes(pickle.dumps(dict(model=ARRAYS, x=evil), protocol))
        # the older protocols use the names of Python 2
        asked = name if protocol == 4 else r"[\w.]+"
        with pytest.raises(CheckpointError, match=rf"bad\.pkl: refused, .* asks for '{asked}'"):
            read_checkpoint(tmp_path / "bad.pkl")


def test_encoding_is_no_way_to_other_codecs(tmp_path):
    import codecs

    evil = Runs(codecs.encode, "x", "rot13")
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(evil, 2))
    with pytest.raises(CheckpointError, match="_codecs.encode with rot13"):
        read_checkpoint(tmp_path / "bad.pkl")


def test_torch_file_with_code_is_refused_by_name(tmp_path):
    marker = tmp_path / "ran"
    evil = Runs(os.system, f"touch {marker}")
    torch.save(dict(model={"w": torch.ones(1)}, x=evil), tmp_path / "b.pth")
    with pytest.raises(CheckpointError, match=r"b\.pth: refused, since it asks for '\w+\.system'"):
        read_checkpoint(tmp_path / "b.pth")
    assert not marker.exists()


def test_namespace_is_read_in_socos_files_only(tmp_path):
    options = argparse.Namespace(lr=0.5)
    torch.save(dict(opt=options, model={"w": torch.ones(1)}), tmp_path / "soco.pth")
    assert read_checkpoint(tmp_path / "soco.pth")["opt"].lr == 0.5
    torch.save(dict(args=options, state_dict={"w": torch.ones(1)}), tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="asks for 'argparse.Namespace'"):
        read_checkpoint(tmp_path / "other.pth")
    nested = argparse.Namespace(x=Runs(os.system, "true"))
    torch.save(dict(opt=nested, model={"w": torch.ones(1)}), tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match=r"asks for '\w+\.system'"):
        read_checkpoint(tmp_path / "evil.pth")
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


@pytest.mark.parametrize(
    "name, data, message",
    [
        ("a.pkl", b"", r"a\.pkl: not a readable pickle \(EOFError"),
        ("a.pkl", pickle.dumps(ARRAYS)[:-40], "not a readable pickle"),
        ("a.pkl", b"PK\x03\x04", "Files of torch.save should be named .pth"),
        ("a.pkl", pickle.dumps([1, 2]), "holds a list, not a dict"),
        ("a.pkl", pickle.dumps(dict(w=np.array(["x"]))), "an array of <U1, not of numbers"),
        ("a.pth", b"junk", r"a\.pth: not a readable checkpoint"),
        ("a.safetensors", b"junk", "not a readable safetensors file"),
    ],
)
def test_broken_files_are_told(name, data, message, tmp_path):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(tmp_path / name)


def test_missing_file_is_told(tmp_path):
    with pytest.raises(CheckpointError, match="gone.pth: no such file"):
        read_checkpoint(tmp_path / "gone.pth")


@pytest.mark.parametrize(
    "content, message",
    [
        (dict(state_dict={}), "f.pth: no tensors"),
        (
            dict(model={"w": torch.ones(1), "lr": 0.1}),
            "entries that are no tensors with a name: lr",
        ),
        (dict(epoch=3), "entries that are no tensors with a name: epoch"),
        ({3: torch.ones(1)}, "entries that are no tensors with a name: 3"),
    ],
)
def test_content_without_a_state_dict_is_told(content, message):
    with pytest.raises(CheckpointError, match=message):
        find_tensors(content, "f.pth")


STATE = {"a.weight": torch.arange(6.0).reshape(2, 3).t(), "a.num_batches_tracked": torch.tensor(3)}
STATE["a.shared"] = STATE["a.weight"]


@pytest.mark.parametrize("suffix", [".pth", ".pkl", ".safetensors"])
def test_written_files_are_read_back(suffix, tmp_path):
    data = encode_checkpoint(STATE, dict(method="SoCo", epochs=3), suffix)
    assert data == encode_checkpoint(STATE, dict(method="SoCo", epochs=3), suffix)
    write_file(tmp_path / f"f{suffix}", data)
    content = read_checkpoint(tmp_path / f"f{suffix}")
    tensors = find_tensors(content, "f")
    assert tensors.keys() == STATE.keys()
    assert all(torch.equal(tensors[key], STATE[key]) for key in STATE)
    assert str(content["meta"]["epochs"]) == "3"


def test_pkl_is_as_detectron2_reads_it(tmp_path):
    write_file(tmp_path / "f.pkl", encode_checkpoint(STATE, {}, ".pkl"))
    with open(tmp_path / "f.pkl", "rb") as file:  # as its DetectionCheckpointer does
        content = pickle.load(file, encoding="latin1")
    assert content["__author__"] and content["matching_heuristics"] is False
    assert all(isinstance(value, np.ndarray) for value in content["model"].values())


def test_type_that_numpy_lacks_is_told():
    with pytest.raises(CheckpointError, match=r"a\.w is torch.bfloat16, which \.pkl cannot hold"):
        encode_checkpoint({"a.w": torch.ones(2, dtype=torch.bfloat16)}, {}, ".pkl")


def test_flat_pth_is_a_state_dict(tmp_path):
    write_file(tmp_path / "f.pth", encode_checkpoint(STATE, {}, ".pth", flat=True))
    assert torch.load(tmp_path / "f.pth", weights_only=True).keys() == STATE.keys()


def test_without_safetensors_the_remedy_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(CheckpointError, match="pip install safetensors"):
        encode_checkpoint(STATE, {}, ".safetensors")
