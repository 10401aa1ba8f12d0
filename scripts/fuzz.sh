#!/usr/bin/env bash
# Installs what is missing (clang), builds the fuzz targets (fuzz/, preset `fuzz`) and runs each for SECONDS (default
# 60), as many at a time as there are cores, over seeds that are made anew, the regression files and its own corpus.
#   scripts/fuzz.sh [SECONDS] [TARGET...]     targets: onnx text artifact calibration dataset npz jpeg kernels
# NARROW_FUZZ_SEED (a number) makes runs alike: what is mutated in which order; without it each run looks elsewhere.
# NARROW_FUZZ_BUILD names another build folder than build/fuzz; the corpus stays there from run to run (corpus/), and so
# does what was found (found/); what is fixed is kept, small, in tests/regressions. Exits 1 when something was found.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
[[ $seconds =~ ^[0-9]+$ ]] || { echo "fuzz.sh: expected seconds, got $seconds" >&2 && exit 1; }
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(onnx text artifact calibration dataset npz jpeg kernels)
build=${NARROW_FUZZ_BUILD:-build/fuzz}

scripts/install_deps.sh clang libclang-rt-14-dev
scripts/fetch_onnx_proto.sh
cmake --preset fuzz -B "$build" >/dev/null
programs=("${targets[@]/#/narrow_}")
cmake --build "$build" --target "${programs[@]/%/_fuzz}"
scripts/fuzz_seeds.py "$build/seeds"
mkdir -p "$build/found"

# fuzz TARGET: its exit code; what it says goes to found/TARGET.log.
fuzz() {
  mkdir -p "$build/corpus/$1"
  # Too large must be an error, not a find: the limit is below libFuzzer's own.
  NARROW_MEMORY_LIMIT=1000000000 UBSAN_OPTIONS=print_stacktrace=1 \
    "$build/narrow_$1_fuzz" -max_total_time="$seconds" -seed="${NARROW_FUZZ_SEED:-0}" -timeout=30 -rss_limit_mb=4096 -malloc_limit_mb=2048 \
    -max_len=16384 -print_final_stats=1 -verbosity=0 -artifact_prefix="$build/found/$1-" \
    "$build/corpus/$1" "$build/seeds/$1" tests/regressions >"$build/found/$1.log" 2>&1
}

failed=()
running=()
# finish TARGET PID: waits for it and reports.
finish() {
  if wait "$2"; then
    echo "fuzz: $1: $(sed -n 's/^stat::number_of_executed_units: *//p' "$build/found/$1.log") inputs in $seconds s" >&2
    return
  fi
  failed+=("$1")
  grep -m 1 -A 12 -E 'ERROR|runtime error|NARROW_CHECK|SUMMARY' "$build/found/$1.log" >&2 || tail -n 20 "$build/found/$1.log" >&2
  local case
  case=$(sed -n 's/^.*Test unit written to //p' "$build/found/$1.log" | tail -n 1)
  echo "fuzz: found by $1, all it said is in $build/found/$1.log; once more: $build/narrow_$1_fuzz ${case:-(no file)}" >&2
}
for target in "${targets[@]}"; do
  if [ ${#running[@]} -ge "$(nproc)" ]; then
    finish ${running[0]}
    running=("${running[@]:1}")
  fi
  fuzz "$target" &
  running+=("$target $!")
done
for one in "${running[@]}"; do finish $one; done
if [ ${#failed[@]} -gt 0 ]; then
  echo "fuzz: found by ${failed[*]}; see $build/found" >&2
  exit 1
fi
echo "fuzz: nothing found in $seconds s each: ${targets[*]}"
