#!/usr/bin/env bash
# tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]
# One process per GPU through srun. GPUS in all (8), GPUS_PER_NODE (8; 0: on CPUs, with
# TASKS_PER_NODE processes each), CPUS_PER_TASK (5); further options of srun: SRUN_ARGS.
set -eu
usage='usage: tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options]'
partition=${1:?$usage}
name=${2:?$usage}
config=${3:?$usage}
work=${4:?$usage}
. "$(dirname "$0")/slurm.sh"
run_by_slurm "$partition" "$name" train.py "$config" --work-dir "$work" "${@:5}"
