#!/usr/bin/env bash
# Distributed training with torchrun, one process a GPU (without a GPU: on the CPU, through gloo).
#   bash tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py ...]
# Several machines: run it on each with NNODES, NODE_RANK and MASTER_ADDR (PORT if 29500 is taken).
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: bash tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py ...]" >&2
    exit 2
fi
config=$1 gpus=$2
shift 2
exec torchrun --nnodes="${NNODES:-1}" --node-rank="${NODE_RANK:-0}" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" --master-port="${PORT:-29500}" \
    --nproc-per-node="$gpus" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "$@"
