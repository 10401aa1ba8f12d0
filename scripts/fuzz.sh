#!/usr/bin/env bash
# Builds the fuzz targets (fuzz/, preset `fuzz`) and runs each for SECONDS (default 60) from seeds that are made anew.
#   scripts/fuzz.sh [SECONDS] [TARGET...]     targets: onnx text artifact calibration dataset npz jpeg
# Files found stay in build/fuzz/found; what is fixed is kept, small, in tests/regressions. Exits 1 when one was found.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(onnx text artifact calibration dataset npz jpeg)
if ! command -v clang++ >/dev/null; then
  echo "no clang++, whose libFuzzer this needs: apt-get install clang" >&2
  exit 1
fi
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz
folder=build/fuzz/found
mkdir -p "$folder"
scripts/fuzz_seeds.py build/fuzz/seeds
export NARROW_MEMORY_LIMIT=1000000000  # below libFuzzer's own limits: too large must be an error, not a find
failed=()
for target in "${targets[@]}"; do
  mkdir -p "build/fuzz/corpus/$target"
  echo "fuzz: $target for $seconds s" >&2
  "build/fuzz/narrow_${target}_fuzz" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=4096 -malloc_limit_mb=2048 \
    -max_len=16384 -print_final_stats=1 -verbosity=0 -artifact_prefix="$folder/$target-" \
    "build/fuzz/corpus/$target" "build/fuzz/seeds/$target" tests/regressions || failed+=("$target")
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "fuzz: found by ${failed[*]}; see $folder" >&2
  exit 1
fi
echo "fuzz: nothing found in $seconds s each: ${targets[*]}"
