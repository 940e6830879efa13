#!/usr/bin/env bash
# tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of tools/test.py]
# One process per GPU through srun, as tools/slurm_train.sh.
set -eu
usage='usage: tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options]'
partition=${1:?$usage}
name=${2:?$usage}
config=${3:?$usage}
checkpoint=${4:?$usage}
. "$(dirname "$0")/slurm.sh"
run_by_slurm "$partition" "$name" test.py "$config" "$checkpoint" "${@:5}"
