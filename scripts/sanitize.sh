#!/usr/bin/env bash
# Installs what is missing, builds everything with AddressSanitizer and UndefinedBehaviorSanitizer (preset `asan`) and
# runs every unit test and the end-to-end tests with it; then the tests of the thread pool, the engine and streams under
# ThreadSanitizer (preset `tsan`). An hour on two cores, most of it the build.
#   scripts/sanitize.sh [asan|tsan]     default: both
# Exits 1 at the first finding; leaks count.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install_deps.sh
scripts/fetch_onnx_proto.sh

with_asan() {
  export ASAN_OPTIONS=detect_leaks=1
  export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
  cmake --preset asan >/dev/null
  cmake --build --preset asan
  ctest --preset asan --parallel 2
  if reason=$(scripts/python_env.sh 2>&1); then
    # Not the library in other programs: they would have to be built with the sanitizers, too.
    NARROW_BINARY=$PWD/build/asan/narrow .deps/venv/bin/python -m pytest -n 2 --dist worksteal tests/e2e --ignore tests/e2e/test_library.py
  else
    echo "end-to-end tests skipped: the Python packages they need cannot be had ($(tail -n 1 <<<"$reason"))"
  fi
}

with_tsan() {
  cmake --preset tsan >/dev/null
  cmake --build --preset tsan --target narrow_parallel_test narrow_runtime_test narrow_bench_test
  ctest --preset tsan --tests-regex '^(parallel|runtime|bench)$'
}

what=${1:-both}
[[ $what =~ ^(asan|tsan|both)$ ]] || { echo "sanitize.sh: expected asan or tsan, got $what" >&2 && exit 1; }
if [ "$what" != tsan ]; then with_asan; fi
if [ "$what" != asan ]; then with_tsan; fi
echo "sanitize: no findings"
