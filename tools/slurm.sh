# What slurm_train.sh and slurm_test.sh share.

# Start a tool by srun, one process per GPU: PARTITION JOB_NAME TOOL ARGUMENTS...
run_by_slurm() {
  local per_node=${GPUS_PER_NODE:-8} port=${MASTER_PORT:-$((12000 + RANDOM % 20000))}
  # Two runs on the same nodes would otherwise meet at one port.
  export MASTER_PORT=$port
  local -a gpus=()
  if [ "$per_node" -gt 0 ]; then
    gpus=(--gres="gpu:$per_node")
  else
    per_node=${TASKS_PER_NODE:-1}
  fi
  # Unquoted: several options in one variable.
  # shellcheck disable=SC2086
  exec srun -p "$1" --job-name="$2" "${gpus[@]}" \
    --ntasks="${GPUS:-8}" --ntasks-per-node="$per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python -u "$(dirname "$0")/$3" "${@:4}" --launcher slurm
}
