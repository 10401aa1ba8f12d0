#!/usr/bin/env bash
# clang-tidy (.clang-tidy) over src/, or over the sources named on the command line. Needs a configured build/release.
# usage: scripts/tidy.sh [--changed [COMMIT]] [FILE...]     --changed: sources that differ from COMMIT (default HEAD~1)
set -euo pipefail
cd "$(dirname "$0")/.."
[ -f build/release/compile_commands.json ] || { echo "no build/release: run scripts/build.sh first" >&2; exit 1; }
if [ "${1:-}" = --changed ]; then
  mapfile -t files < <(git diff --name-only --diff-filter=AMR "${2:-HEAD~1}" -- 'src/*.cpp')
elif [ $# -gt 0 ]; then
  files=("$@")
else
  mapfile -t files < <(git ls-files 'src/*.cpp')
fi
# Left out: kernels whose intrinsics clang 14 does not know, and what the compilation database does not hold.
kept=()
for file in "${files[@]}"; do
  [[ $file =~ _(amx|avx512fp16)\.cpp$ ]] && continue
  grep -q "/$file\"" build/release/compile_commands.json && kept+=("$file")
done
[ ${#kept[@]} -gt 0 ] || { echo "tidy: no sources to look at"; exit 0; }
# Warnings that only GCC knows are no business of clang's.
printf '%s\0' "${kept[@]}" | xargs -0 -n 1 -P "$(nproc)" clang-tidy --quiet -p build/release \
  --extra-arg=-Wno-unknown-warning-option
echo "tidy: ${#kept[@]} sources clean"
