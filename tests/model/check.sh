#!/bin/sh
# check.sh MODEL WORK_DIR holds|fails [-DMUTATION]: checks MODEL with spin in WORK_DIR and expects
# that it holds, or that it fails.
set -eu
model=$1 work=$2 expected=$3 mutation=${4:-}
mkdir -p "$work"
cd "$work"
# shellcheck disable=SC2086 # no mutation is no argument
spin -a $mutation "$model" > spin.log
cc -O2 -w -DSAFETY -DCOLLAPSE -o pan pan.c
./pan -m1000000 > pan.log
grep -E 'errors:|states, stored|^pan:' pan.log
if grep -q 'max search depth too small' pan.log; then
  echo "the search was cut off" >&2
  exit 1
fi
found=holds
grep -q 'errors: 0' pan.log || found=fails
if [ "$found" != "$expected" ]; then
  echo "expected that the model ${expected}, but it ${found}" >&2
  exit 1
fi
