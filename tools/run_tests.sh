#!/usr/bin/env bash
# Installs what is needed and runs all tests; arguments go to pytest (say, -m 'not slow').
set -euo pipefail
cd "$(dirname "$0")/.."

bash tools/install.sh
export PATH=$PWD/.venv/bin:$PATH
ruff check .
codespell
exec python -m pytest "$@"
