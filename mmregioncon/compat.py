"""What importing MMRegionCon does: version windows, safe checkpoint types, config scope.

Nothing here imports mmcv, mmdet or mmpretrain, so that ``import mmregioncon`` costs
little more than torch and MMEngine.
"""

import importlib
from dataclasses import dataclass
from importlib import metadata

from packaging.version import Version

INSTALL_HINT = "run `bash tools/install.sh`, or see docs/install.md"


@dataclass(frozen=True)
class Requirement:
    """A version window: ``minimum <= version < maximum``.

    Attributes:
        module: Import name.
        distributions: The distributions that bring this module, as pip names them.
        minimum: First version that serves.
        maximum: First version that does not; None means no limit.
    """

    module: str
    distributions: tuple
    minimum: str
    maximum: str | None = None

    @property
    def window(self):
        """The window as pip writes it."""
        return f">={self.minimum}" + (f",<{self.maximum}" if self.maximum else "")


REQUIREMENTS = (
    Requirement("torch", ("torch",), "2.6"),
    Requirement("mmengine", ("mmengine", "onedl-mmengine", "mmengine-lite"), "0.10.4", "1.0.0"),
    Requirement("mmcv", ("mmcv", "onedl-mmcv"), "2.1.0", "2.4.0"),
    Requirement("mmdet", ("mmdet", "onedl-mmdetection"), "3.3.0", "4.0.0"),
    Requirement("mmpretrain", ("mmpretrain", "onedl-mmpretrain"), "1.2.0", "2.0.0"),
)


def installed_version(requirement):
    """Return the installed version as a string, None if the module is missing."""
    for distribution in requirement.distributions:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    try:  # on PYTHONPATH, without metadata
        return importlib.import_module(requirement.module).__version__
    except ModuleNotFoundError:
        return None


def check_versions(requirements=REQUIREMENTS, find_version=installed_version):
    """Raise ImportError if a package is missing or outside its window."""
    for requirement in requirements:
        found = find_version(requirement)
        names = " or ".join(requirement.distributions[:2])
        if found is None:
            raise ImportError(f"mmregioncon needs {requirement.module}: {INSTALL_HINT} ({names}).")
        if not _in_window(found, requirement):
            raise ImportError(
                f"mmregioncon needs {requirement.module}{requirement.window}, but {found} is "
                f"installed ({names}): {INSTALL_HINT}."
            )


def _in_window(version, requirement):
    version = Version(version)
    if version < Version(requirement.minimum):
        return False
    return requirement.maximum is None or version < Version(requirement.maximum)


def _history_buffer_method(owner, name):
    """Stand in for ``getattr`` while a checkpoint is unpickled.

    A pickled HistoryBuffer names its own statistics (``HistoryBuffer.mean``) through
    ``getattr``. The real one would let a checkpoint reach any attribute of anything.
    """
    from mmengine.logging import HistoryBuffer

    if owner is not HistoryBuffer or name.startswith("_"):
        raise ValueError(
            f"refused to load a checkpoint that asks for attribute {name!r} of {owner!r}: only "
            "the statistics of mmengine's HistoryBuffer are expected. Is the file from a "
            "trusted source?"
        )
    return getattr(owner, name)


def checkpoint_globals():
    """Return just the types that MMEngine writes into its checkpoints.

    The message hub holds HistoryBuffers (NumPy arrays) and NumPy scalars; hooks that save
    the RNG states add NumPy's uint32 keys. NumPy's functions are listed by the names that
    NumPy 1 and NumPy 2 give them, so that checkpoints pass between the two.
    """
    import numpy as np
    from mmengine.logging import HistoryBuffer

    scalar = np.float64(0).__reduce__()[0]
    reconstruct = np.empty(0).__reduce__()[0]
    named = [
        (function, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for name, function in (("scalar", scalar), ("_reconstruct", reconstruct))
    ]
    numbers = (bool, "int32", "int64", "uint8", "uint32", "float32", "float64")
    dtypes = [type(np.dtype(number)) for number in numbers]
    getter = [(_history_buffer_method, "builtins.getattr")]
    return [HistoryBuffer, np.ndarray, np.dtype, *dtypes, *named, *getter]


def allow_mmengine_checkpoints():
    """Let ``torch.load(..., weights_only=True)`` read MMEngine's own checkpoints.

    torch loads so by default from 2.6 on, and MMEngine's resume relies on the default.
    """
    import torch

    torch.serialization.add_safe_globals(checkpoint_globals())


def register_config_scope():
    """Make ``_base_ = 'mmregioncon::...'`` known to MMEngine's config reader.

    MMEngine asks pkg_resources for a distribution's folder, which is wrong for an editable
    install. For a name that is no distribution it takes the folder of the module's file:
    that of ``mmregioncon/version.py`` is right however the package was installed.
    """
    from mmengine.config.utils import MODULE2PACKAGE

    MODULE2PACKAGE["mmregioncon"] = "mmregioncon.version"
