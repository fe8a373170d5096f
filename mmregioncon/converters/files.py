"""Reading and writing checkpoint files without ever running what is in them.

``.pkl`` (detectron2) goes through an unpickler that knows NumPy arrays and plain containers only,
``.safetensors`` through the library of that name, everything else through
``torch.load(weights_only=True)``.
"""

import argparse
import codecs
import hashlib
import io
import json
import pickle
import re
from pathlib import Path

import numpy as np
import torch

from mmregioncon.regions.atomic import atomic_path

# Key of the one text in the header of a safetensors file; several would come in random order.
META = "mmregioncon"


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message names the file, the reason and the remedy."""


def read_checkpoint(path) -> dict:
    """Everything in a checkpoint file, tensors on the CPU, NumPy arrays as tensors.

    Args:
        path: ``.pkl``, ``.safetensors``, or a file of ``torch.save``.

    Raises:
        CheckpointError: there is no such file, it is broken, or it asks for a class or function.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    readers = {".pkl": _read_pickle, ".safetensors": _read_safetensors}
    content = readers.get(path.suffix, _read_torch)(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, not a dict of tensors")
    return content


def find_tensors(content: dict, path) -> dict[str, torch.Tensor]:
    """The model's tensors by name, without a leading ``module.``

    Args:
        content: what :func:`read_checkpoint` returns.
        path: the file, for the messages.

    Raises:
        CheckpointError: an entry of the state dict is no named tensor, or there is none.
    """
    inner = (content[key] for key in ("state_dict", "model") if isinstance(content.get(key), dict))
    state = next(inner, content)
    others = [
        str(key) for key, v in state.items() if not (isinstance(key, str) and torch.is_tensor(v))
    ]
    if others or not state:
        listed = f"entries that are no tensors with a name: {', '.join(others)}"
        what = listed if others else "no tensors"
        raise CheckpointError(
            f"{path}: {what}. Expected a state dict, alone or under 'state_dict' or 'model'."
        )
    return {re.sub(r"^module\.", "", key): value for key, value in state.items()}


def _read_torch(path):
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zip, pickle and torch each have their own
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        if wanted is None:
            raise CheckpointError(f"{path}: not a readable checkpoint ({error})") from error
        if wanted[1] != "argparse.Namespace":
            raise _refusal(path, wanted[1]) from error
    return _read_soco(path)


def _read_soco(path):
    """SoCo keeps its command line, an ``argparse.Namespace``, under ``opt`` beside ``model``."""
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        raise _refusal(path, wanted[1] if wanted else "?") from error
    if not isinstance(content, dict) or not {"opt", "model"} <= content.keys():
        raise _refusal(path, "argparse.Namespace")
    return content


def _refusal(path, name):
    return CheckpointError(
        f"{path}: refused, since it asks for '{name}'. Only tensors, NumPy arrays, numbers, texts "
        "and plain containers are read; a checkpoint can run any code otherwise. If you trust "
        "its author, save its state dict alone in an environment of its own."
    )


def _latin1_bytes(text, encoding):
    """What Python 3 writes bytes with in pickles of Python 2's protocol."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"_codecs.encode with {encoding}")
    return codecs.encode(text, "latin1")


def _numpy_globals():
    """What pickled arrays and scalars name, under the names of NumPy 1 and 2."""
    functions = {
        "multiarray._reconstruct": np.empty(0).__reduce__()[0],
        "multiarray.scalar": np.float64(0).__reduce__()[0],
        "numeric._frombuffer": np.empty(1).__reduce_ex__(5)[0],
    }
    named = {
        f"numpy.{core}.{name}": function
        for core in ("core", "_core")
        for name, function in functions.items()
    }
    return {**named, "numpy.ndarray": np.ndarray, "numpy.dtype": np.dtype}


class _ArrayUnpickler(pickle.Unpickler):
    """Finds NumPy's arrays and plain containers, and nothing else."""

    allowed = {
        **_numpy_globals(),
        "collections.OrderedDict": dict,
        "_codecs.encode": _latin1_bytes,
    }

    def find_class(self, module, name):
        try:
            return self.allowed[f"{module}.{name}"]
        except KeyError:
            raise _Forbidden(f"{module}.{name}") from None


class _Forbidden(Exception):
    """Of what a pickle asks for."""


def _read_pickle(path):
    with open(path, "rb") as file:
        try:
            content = _ArrayUnpickler(file, encoding="latin1").load()
        except _Forbidden as error:
            raise _refusal(path, error) from error
        except Exception as error:  # a broken pickle can raise nearly anything
            raise CheckpointError(
                f"{path}: not a readable pickle ({type(error).__name__}: {error}). Files of "
                "torch.save should be named .pth."
            ) from error
    return _with_tensors(content, path)


def _with_tensors(node, path):
    if isinstance(node, dict):
        return {key: _with_tensors(value, path) for key, value in node.items()}
    if not isinstance(node, np.ndarray | np.generic):
        return node
    if node.dtype.kind not in "fiub":
        raise CheckpointError(f"{path}: an array of {node.dtype}, not of numbers")
    return torch.from_numpy(np.array(node, node.dtype.newbyteorder("=")))


def _import_safetensors():
    try:
        import safetensors.torch
    except ModuleNotFoundError as error:
        raise CheckpointError(
            "safetensors is not installed: `pip install safetensors`, or use a .pth file"
        ) from error
    return safetensors


def _read_safetensors(path):
    library = _import_safetensors()
    try:
        with library.safe_open(path, "pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            texts = file.metadata() or {}
    except library.SafetensorError as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from error
    return dict(state_dict=state, meta=json.loads(texts[META]) if META in texts else texts)


def encode_checkpoint(
    state: dict[str, torch.Tensor], meta: dict[str, str | int], suffix: str, flat: bool = False
) -> bytes:
    """A checkpoint file's bytes, the same ones for the same input.

    Args:
        state: tensors by name.
        meta: what to say of them.
        suffix: ``.pth`` (``state_dict`` and ``meta``), ``.pkl`` (as detectron2 reads it) or
            ``.safetensors`` (``meta`` as JSON in its header).
        flat: for ``.pth``: the state dict alone, as torchvision and timm have it.

    Raises:
        CheckpointError: safetensors is not installed, or NumPy lacks a tensor's type.
    """
    state = {key: value.detach().cpu().clone().contiguous() for key, value in state.items()}
    if suffix == ".safetensors":
        return _import_safetensors().torch.save(state, {META: json.dumps(meta)})
    buffer = io.BytesIO()
    if suffix == ".pkl":
        arrays = {key: _array(key, value) for key, value in state.items()}
        author = dict(__author__="MMRegionCon", matching_heuristics=False)
        pickle.dump(dict(model=arrays, **author, meta=meta), buffer, protocol=4)
    else:
        torch.save(state if flat else dict(state_dict=state, meta=meta), buffer)
    return buffer.getvalue()


def _array(key, value):
    try:
        return value.numpy()
    except TypeError as error:
        raise CheckpointError(
            f"{key} is {value.dtype}, which .pkl cannot hold: convert it to float32 first, or "
            "write .pth or .safetensors"
        ) from error


def write_file(path, data: bytes) -> str:
    """Write the file whole or not at all; returns the SHA-256 of ``data`` in hex."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    return hashlib.sha256(data).hexdigest()
