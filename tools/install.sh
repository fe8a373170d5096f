#!/usr/bin/env bash
# Sets up .venv with everything MMRegionCon needs; run again, it only verifies.
#   bash tools/install.sh                          with the first Python 3.11 or 3.10 found
#   PYTHON=/path/to/python bash tools/install.sh   with that one
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${XDG_CACHE_HOME:-$HOME/.cache}/mmregioncon
stamp=.venv/.mmregioncon-installed    # written last: what it vouches for was verified
unfinished=.venv/.mmregioncon-unfinished

say() { echo "[install] $*"; }
die() { echo "[install] error: $*" >&2; exit 1; }
pinned() { sed -n "s/^$1==\([^ ;]*\).*/\1/p" requirements/constraints.txt; }
is_supported() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] not in {(3, 10), (3, 11)})' 2>/dev/null; }

fingerprint() {
    { pwd; .venv/bin/python -VV; cat tools/install.sh setup.py requirements/*.txt; } | sha256sum
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3.11 python3.10 python3 python}; do
        if is_supported "$candidate"; then command -v "$candidate"; return; fi
    done
    die "no supported Python among: ${PYTHON:-python3.11 python3.10 python3 python}.
  MMRegionCon runs on Python 3.11 and 3.10 (the pinned NumPy 1.26 and torch set the limits).
  Install one (apt-get install python3.11-dev; or uv python install 3.11) and name it:
    PYTHON=/path/to/python3.11 bash tools/install.sh"
}

find_uv() {
    if "$cache/uv/bin/uv" --version >/dev/null 2>&1; then echo "$cache/uv/bin/uv"; return; fi
    if command -v uv; then return; fi
    "$1" -m pip --version >/dev/null 2>&1 ||
        die "$1 has no pip to fetch uv with. Install pip (apt-get install python3-pip) or uv."
    mkdir -p "$cache"
    local fresh
    fresh=$(mktemp -d "$cache/uv.XXXXXX")
    "$1" -m pip install --quiet --target "$fresh" uv >&2 || die "pip could not install uv"
    rm -rf "$cache/uv"
    mv "$fresh" "$cache/uv"
    echo "$cache/uv/bin/uv"
}

make_venv() {  # python, uv
    if [ -e "$unfinished" ]; then
        say "an earlier run did not finish: making .venv anew"
    elif [ -x .venv/bin/python ]; then
        is_supported .venv/bin/python || die ".venv holds an unsupported or broken Python: remove .venv"
        return
    fi
    "$2" venv --quiet --clear --python "$1" .venv
}

check_compiler() {  # python
    local cxx=${CXX:-c++} include
    command -v "$cxx" >/dev/null ||
        die "mmcv's ops must be compiled, and there is no C++ compiler ($cxx).
  Debian, Ubuntu: apt-get install build-essential; Fedora, RHEL: dnf install gcc-c++"
    include=$("$1" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
    [ -f "$include/Python.h" ] ||
        die "mmcv's ops must be compiled, and $include/Python.h is missing.
  Debian, Ubuntu: apt-get install python3-dev; Fedora, RHEL: dnf install python3-devel"
}

check_nvcc() {
    local home=${CUDA_HOME:-/usr/local/cuda}
    command -v nvcc >/dev/null || [ -x "$home/bin/nvcc" ] ||
        die "there is a GPU, but no nvcc to compile mmcv's CUDA ops with.
  Install the CUDA toolkit $(.venv/bin/python -c 'import torch; print(torch.version.cuda)') and set CUDA_HOME, or install for the CPU only:
    CUDA_VISIBLE_DEVICES= bash tools/install.sh"
}

# The wheel fits one torch, one Python and, with CUDA ops, one GPU architecture.
wheel_key() {
    .venv/bin/python - <<'EOF'
import sys, torch
gpu = "-sm%d%d" % torch.cuda.get_device_capability() if torch.cuda.is_available() else ""
print(f"torch{torch.__version__.split('+')[0]}-cp{sys.version_info[0]}{sys.version_info[1]}{gpu}")
EOF
}

build_mmcv() {  # folder for the wheel
    check_compiler .venv/bin/python
    case $1 in *-sm*) check_nvcc ;; esac
    mkdir -p "$1"
    local build
    build=$(mktemp -d "$1/build.XXXXXX")
    # shellcheck disable=SC2064  # the path of now, not of then
    trap "rm -rf '$build'" EXIT
    say "compiling mmcv's ops, once for this torch and Python (5 minutes on two cores)"
    PATH=$PWD/.venv/bin:$PATH MMCV_WITH_OPS=1 CFLAGS="-g0 -O2 -w" MAX_JOBS=${MAX_JOBS:-$(nproc)} \
        .venv/bin/python -m pip wheel --no-cache-dir --no-build-isolation --no-deps \
        -w "$build" "mmcv==$(pinned mmcv)" >"$cache/mmcv-build.log" 2>&1 ||
        die "mmcv did not build; the log is $cache/mmcv-build.log; its end:
$(tail -n 15 "$cache/mmcv-build.log")"
    mv "$build"/mmcv-*.whl "$1/"
}

install_packages() {  # uv
    local pip=("$1" pip install --quiet --compile-bytecode -p .venv -c requirements/constraints.txt)
    say "torch $(pinned torch) and build tools"
    "${pip[@]}" -r requirements/build.txt pip
    local wheels
    wheels=$cache/wheels/$(wheel_key)
    compgen -G "$wheels/mmcv-$(pinned mmcv)-*.whl" >/dev/null || build_mmcv "$wheels"
    say "OpenMMLab packages and the rest"
    "${pip[@]}" --override requirements/overrides.txt "$wheels/mmcv-$(pinned mmcv)"-*.whl \
        -r requirements/mminstall.txt -r requirements/runtime.txt -r requirements/optional.txt \
        -r requirements/tests.txt -r requirements/docs.txt
    "${pip[@]}" --no-deps --no-build-isolation -e .
}

verify() {
    say "verifying"
    .venv/bin/python tools/verify_install.py ||
        die "the installation does not work (above). Remove .venv and run this again."
}

if [ -e "$stamp" ] && [ "$(fingerprint)" = "$(cat "$stamp")" ]; then
    verify
    say "ready: source .venv/bin/activate"
    exit
fi

python=$(find_python)
# Before gigabytes are fetched: can mmcv be built, if no earlier build fits?
tag=$("$python" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
compgen -G "$cache/wheels/torch$(pinned torch)-$tag*/mmcv-*.whl" >/dev/null || check_compiler "$python"
uv=$(find_uv "$python")
make_venv "$python" "$uv"
rm -f "$stamp"
touch "$unfinished"
install_packages "$uv"
verify
fingerprint >"$stamp"
rm "$unfinished"
say "ready: source .venv/bin/activate"
