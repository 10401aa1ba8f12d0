#!/usr/bin/env bash
# The Python environment of the end-to-end tests in .deps/venv. Exits 1 with the reason when packages cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
packages=(numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1 pytest==9.2.0)
stamp=.deps/venv/packages
[ "$(cat "$stamp" 2>/dev/null)" = "${packages[*]}" ] && exit 0
rm -rf .deps/venv
python3 -m venv .deps/venv
.deps/venv/bin/python -m pip install --quiet --disable-pip-version-check --retries 1 "${packages[@]}"
echo "${packages[*]}" >"$stamp"
