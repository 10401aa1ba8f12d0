#!/usr/bin/env bash
# From a fresh machine to a verdict: installs, builds, and runs every test. The last line sums up.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/build.sh
ctest --preset release --parallel 2
python=passed
if reason=$(scripts/python_env.sh 2>&1); then
  .deps/venv/bin/python -m pytest -n 2 --dist worksteal tests/e2e
else
  python="skipped: the Python packages they need cannot be had ($(tail -n 1 <<<"$reason"))"
fi
peers=passed
if reason=$(scripts/python_env.sh peers 2>&1); then
  scripts/python_env.sh peers nncf || true # without NNCF its tests skip and say so
  .deps/venv/bin/python -m pytest -n 2 --dist worksteal tests/peers
else
  peers="skipped: the packages of the peers cannot be had ($(tail -n 1 <<<"$reason"))"
fi
scripts/format.sh --check
scripts/check_layers.py
scripts/check_links.py
scripts/command_tables.py --check
echo "unit tests passed · end-to-end tests $python · peer tests $peers · format, layers, links, option tables passed"
