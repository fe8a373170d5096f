#!/usr/bin/env bash
# From nothing to a pre-trained and fine-tuned detector, and a report to look at.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    cat <<'HELP'
usage: bash tools/quickstart.sh [--method M] [--seed N] [--work-dir DIR] [--fresh]

Installs what is needed, draws the demo data (data/demo), proposes regions, pre-trains on the
unlabelled pictures, fine-tunes a small Faster R-CNN on the labelled ones from that checkpoint and
from scratch, and writes DIR/report.html. Less than ten minutes on two idle cores, after installing.

  --method M      soco (default), plrc, detco, ccop, or a baseline: moco, densecl
  --seed N        of the pre-training and of both fine-tunings (default 0); the data stay the same
  --work-dir DIR  checkpoints, logs and the report (default work_dirs/quickstart for soco,
                  work_dirs/quickstart_M for another method)
  --fresh         repeat the trainings and the evaluation even where they are finished

Run again, it skips what is finished; changed options repeat what depends on them. After a change
of a config or of the code, use --fresh.
HELP
}

method=soco seed=0 work= fresh=
while [ $# -gt 0 ]; do
    case $1 in
        --method) method=${2:?--method needs a name}; shift 2 ;;
        --seed) seed=${2:?--seed needs a number}; shift 2 ;;
        --work-dir) work=${2:?--work-dir needs a folder}; shift 2 ;;
        --fresh) fresh=yes; shift ;;
        -h | --help) usage; exit ;;
        *) usage >&2; echo "error: unknown option $1" >&2; exit 2 ;;
    esac
done
[[ $seed =~ ^[0-9]+$ ]] || { echo "error: --seed $seed is not a whole number" >&2; exit 2; }

# The pre-training config, and the fine-tuning config that takes what it pre-trains.
case $method in
    soco) config=soco_r18-fpn_demo transfer=soco ;;
    ccop) config=ccop_r18-fpn_demo transfer=ccop ;;
    plrc | detco | densecl) config=${method}_r18_demo transfer=backbone ;;
    moco) config=mocov2_r18_demo transfer=backbone ;;
    *) echo "error: --method $method: choose soco, plrc, detco, ccop, moco or densecl" >&2; exit 2 ;;
esac
if [ -z "$work" ]; then
    work=work_dirs/quickstart
    [ "$method" = soco ] || work+=_$method
fi

data=data/demo
steps=$work/steps
history=    # of the commands so far: a step is repeated when it or one before it changed
count=0
[ -z "$fresh" ] || rm -rf "$steps"
mkdir -p "$steps" "$work/logs"

# Training logs, one short line a record; on a terminal, each over the one before.
progress() {  # name
    local line erase='' end='\n'
    if [ -t 1 ]; then erase='\r\033[K' end=; fi
    sed -unE \
        -e 's/.*(Epoch|Iter)\(train\) +(.*\]) .*eta: ([0-9:a-z, ]*)  .* loss: (-?[0-9.]+).*/\1 \2  loss \4  time left \3/p' \
        -e 's/.*(Loading from [^ ]+: backbone .*)/\1/p' \
        -e 's/.*(coco\/bbox_mAP: [0-9.-]+).*(coco\/bbox_mAP_50: [0-9.-]+).*/\1  \2/p' |
        while read -r line; do printf "$erase      %s: %s$end" "$1" "$line"; done
    printf "$erase"
}

execute() {  # log, command...
    local log=$1
    shift
    case "$*" in
        *tools/train.py*) "$@" 2>&1 | tee "$log" | progress "$(basename "$log" .log)" ;;
        *) "$@" ;;
    esac
}

# step NAME TITLE OUTPUT COMMAND...: run the command unless it made the output before.
step() {
    local name=$1 title=$2 output=$3 start=$SECONDS key mark
    shift 3
    count=$((count + 1))
    history+="$*;"
    key=$(sha256sum <<<"$history" | cut -c1-16)
    mark=$steps/$count-$name.done
    if [ -e "$output" ] && [ -f "$mark" ] && [ "$(tail -n 1 "$mark")" = "$key" ]; then
        echo "[$count/6] $title: done before"
        return
    fi
    echo "[$count/6] $title"
    echo "      $*"
    rm -rf "$mark" "${work:?}/$name"
    if ! execute "$work/logs/$name.log" "$@"; then
        echo "error: step '$name' failed." >&2
        [ ! -f "$work/logs/$name.log" ] || tail -n 25 "$work/logs/$name.log" >&2
        exit 1
    fi
    echo "      $((SECONDS - start)) s"
    printf '%s\n' "$title" "$((SECONDS - start))" "$*" "$key" >"$mark"
}

finetune() {  # run, title, config, more --cfg-options
    local dir=$work/finetune_$1
    step "finetune_$1" "$2" "$dir/val.bbox.json" \
        python tools/train.py "$3" --work-dir "$dir" \
        --cfg-options "randomness.seed=$seed" "val_evaluator.outfile_prefix=$dir/val" "${@:4}"
}

bash tools/install.sh
export PATH=$PWD/.venv/bin:$PATH
# Threads that spin long while they wait slow each other down many times on a busy machine.
export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-30000}
SECONDS=0

step data "draw the demo data" "$data/demo_data.json" python tools/make_demo_data.py --root "$data"
step regions "propose regions" "$data/regions.arrow" \
    python tools/generate_regions.py "$data/unlabelled" --out "$data/regions.arrow" --overwrite \
    --filter-args min_side=20 "size_range=(0.12,0.65)" top=30
step pretrain "pre-train $method" "$work/pretrain/last_checkpoint" \
    python tools/train.py "configs/demo/$config.py" --work-dir "$work/pretrain" \
    --cfg-options "randomness.seed=$seed"
# Side by side, with a thread each: steps this small gain little from a second one.
export OMP_NUM_THREADS=1
trap 'kill 0' INT    # what runs in the background does not hear Ctrl-C by itself
finetune pretrained "fine-tune from the checkpoint" \
    "configs/demo/faster-rcnn_r18-fpn_demo_$transfer.py" \
    "load_from=$(cat "$work/pretrain/last_checkpoint")" &
count=$((count + 1))
finetune scratch "fine-tune from scratch" configs/demo/faster-rcnn_r18-fpn_demo.py &
failed=
for run in $(jobs -p); do wait "$run" || failed=yes; done
[ -z "$failed" ] || exit 1

echo "[6/6] report"
python tools/demo_report.py --work-dir "$work" --data "$data" --method "$method" \
    --json "$work/report.json"
echo "finished in $((SECONDS / 60)) min $((SECONDS % 60)) s; open $work/report.html in a browser"
