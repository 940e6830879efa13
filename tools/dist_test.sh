#!/usr/bin/env bash
# tools/dist_test.sh CONFIG CHECKPOINT N [options of tools/test.py]
# N processes on this machine, one per GPU; on CPUs where there is no GPU.
# Several machines: NNODES, NODE_RANK and MASTER_ADDR; another run beside: PORT.
set -eu
config=${1:?usage: tools/dist_test.sh CONFIG CHECKPOINT N [options]}
checkpoint=${2:?usage: tools/dist_test.sh CONFIG CHECKPOINT N [options]}
processes=${3:?usage: tools/dist_test.sh CONFIG CHECKPOINT N [options]}
exec torchrun --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
  --nproc_per_node="$processes" \
  "$(dirname "$0")/test.py" "$config" "$checkpoint" --launcher pytorch "${@:4}"
