#!/usr/bin/env bash
# The Python environment of the benchmarks: ONNX Runtime, OpenVINO and NNCF in versions that work together.
# usage: benchmarks/setup.sh [VENV]      default: .deps/bench-venv
set -euo pipefail
venv=${1:-$(dirname "$0")/../.deps/bench-venv}
packages=(numpy==2.4.6 pillow==13.0.0 onnx==1.23.2 onnx-ir==1.1.0 onnxruntime==1.31.1
  openvino==2026.4.1 nncf==3.4.0 sympy==1.14.0)
stamp=$venv/packages
[ "$(cat "$stamp" 2>/dev/null)" = "${packages[*]}" ] && exit 0
"${PYTHON:-python3}" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --retries 1 "${packages[@]}"
echo "${packages[*]}" >"$stamp"
