#!/usr/bin/env bash
# clang-format over the tracked C++ sources: in place, or with --check only a verdict.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=(-i)
case "${1:-}" in
  "") ;;
  --check) mode=(--dry-run --Werror) ;;
  *)
    echo "usage: scripts/format.sh [--check]" >&2
    exit 2
    ;;
esac
git ls-files -z '*.cpp' '*.h' | xargs -0 -n 24 -P "$(nproc)" clang-format "${mode[@]}"
if [ "${mode[0]}" = --dry-run ]; then echo "format: as clang-format would have it"; fi
