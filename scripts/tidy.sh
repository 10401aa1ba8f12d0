#!/usr/bin/env bash
# clang-tidy (.clang-tidy). Needs a configured build/release.
#   scripts/tidy.sh                     all of src/; tens of minutes
#   scripts/tidy.sh FILE...             some sources
#   scripts/tidy.sh --changed [MOST]    what the last commit changed, at most MOST sources (default 12)
set -euo pipefail
cd "$(dirname "$0")/.."
if [ ! -f build/release/compile_commands.json ]; then
  echo "no build/release: run scripts/build.sh first" >&2
  exit 1
fi
most=100000
if [ "${1:-}" = --changed ]; then
  most=${2:-12}
  mapfile -t files < <(git show -m --first-parent --name-only --diff-filter=AMR --format= HEAD -- 'src/*.cpp')
elif [ $# -gt 0 ]; then
  files=("$@")
else
  mapfile -t files < <(git ls-files 'src/*.cpp')
fi
kept=()
for file in "${files[@]}"; do # sources the build knows
  if grep -q "/$file\"" build/release/compile_commands.json; then kept+=("$file"); fi
done
chosen=("${kept[@]:0:most}")
if [ ${#chosen[@]} -gt 0 ]; then # flags that only GCC has are no business of clang's
  printf '%s\0' "${chosen[@]}" | xargs -0 -n 1 -P "$(nproc)" clang-tidy --quiet -p build/release \
    --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-unknown-attributes 2> >(grep -v 'warnings\? generated' >&2 || true)
fi
echo "tidy: ${#chosen[@]} sources clean, $((${#kept[@]} - ${#chosen[@]})) not looked at"
