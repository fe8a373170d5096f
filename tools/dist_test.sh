#!/usr/bin/env bash
# Distributed testing with torchrun, one process a GPU (without a GPU: on the CPU, through gloo).
#   bash tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py ...]
# Several machines: run it on each with NNODES, NODE_RANK and MASTER_ADDR (PORT if 29500 is taken).
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: bash tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py ...]" >&2
    exit 2
fi
config=$1 checkpoint=$2 gpus=$3
shift 3
exec torchrun --nnodes="${NNODES:-1}" --node-rank="${NODE_RANK:-0}" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" --master-port="${PORT:-29500}" \
    --nproc-per-node="$gpus" \
    "$(dirname "$0")/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
