"""Packaging of MMRegionCon, with configs and tools under ``mmregioncon/.mim`` as MIM expects."""

import os
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM_FILES = ("tools", "configs", "model-index.yml")


class BuildWithMim(build_py):
    """Puts ``MIM_FILES`` into ``mmregioncon/.mim``: copies in a wheel, links in an editable one."""

    def run(self):
        super().run()
        if self.editable_mode:
            mim = ROOT / "mmregioncon" / ".mim"
        else:
            mim = Path(self.build_lib) / "mmregioncon" / ".mim"
        shutil.rmtree(mim, ignore_errors=True)
        mim.mkdir(parents=True)
        for name in MIM_FILES:
            source, target = ROOT / name, mim / name
            if self.editable_mode:
                target.symlink_to(os.path.relpath(source, mim))
            elif source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, target)


def read_version():
    text = (ROOT / "mmregioncon" / "version.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE).group(1)


def read_requirements(name):
    lines = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


EXTRAS = ("mminstall", "optional", "tests", "docs")

setup(
    name="mmregioncon",
    version=read_version(),
    description="Region-level contrastive pre-training of mmdet detectors",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    keywords=["computer vision", "object detection", "self-supervised learning"],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    python_requires=">=3.10",
    packages=find_packages(include=["mmregioncon", "mmregioncon.*"]),
    package_data={"mmregioncon.visualization": ["*.html"]},
    # The OpenMMLab packages are no install_requires: pip would put them over the
    # onedl forks, which bring the same import names. mmregioncon checks at import.
    install_requires=read_requirements("runtime"),
    extras_require={name: read_requirements(name) for name in EXTRAS},
    cmdclass={"build_py": BuildWithMim},
    zip_safe=False,
)
