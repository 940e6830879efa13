#!/usr/bin/env bash
# tools/dist_restore.sh FOLDER N [options of tools/restore.py]
# N processes on this machine, one per GPU, restore the photos of a folder, each once, by
# whichever process is free. The same command goes on with a run that was ended early.
# Several machines that share the folders: NNODES, NODE_RANK and MASTER_ADDR; another run
# beside: PORT.
set -eu
folder=${1:?usage: tools/dist_restore.sh FOLDER N [options]}
processes=${2:?usage: tools/dist_restore.sh FOLDER N [options]}
[[ $processes =~ ^[1-9][0-9]*$ ]] || {
  echo "dist_restore: N is the number of processes, got $processes" >&2
  exit 1
}
# PyTorch's launcher would give each one thread, however many cores there are.
threads=$(($(nproc) / processes))
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((threads > 0 ? threads : 1))}
exec python -m mmagic_inik.restoration.launcher \
  --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
  --nproc_per_node="$processes" \
  "$(dirname "$0")/restore.py" "$folder" --resume "${@:3}"
