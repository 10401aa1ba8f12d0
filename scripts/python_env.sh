#!/usr/bin/env bash
# The Python environment of the end-to-end tests in .deps/venv. Exits 1 with the reason when packages cannot be had.
#
# usage: python_env.sh [peers] [nncf] [torch]     adds, and keeps from then on, what tests and tables against other tools need:
#   peers   OpenVINO and what ONNX Runtime's quantizers import (290 MB on disk, 70 MB to fetch)
#   nncf    NNCF: its tests skip without it (240 MB on disk, 50 MB to fetch)
#   torch   what ONNX Runtime's HQQ and GPTQ import (4.8 GB on disk, 2.4 GB to fetch): scripts/weight_only_peers.py alone
set -euo pipefail
cd "$(dirname "$0")/.."
base=(numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1 pytest==9.2.0 pytest-xdist==3.8.0)
peers=(openvino==2026.4.1 onnx-ir==1.1.0 sympy==1.14.0 pillow==13.0.0)
nncf=(nncf==3.4.0)
torch=(torch==2.3.1)

# group PACKAGE...: installs it unless that was done; the list of packages lies in .deps/venv/GROUP.
group() {
  local stamp=.deps/venv/$1
  shift
  [ "$(cat "$stamp" 2>/dev/null)" = "$*" ] && return
  if [ "$stamp" = .deps/venv/packages ]; then
    rm -rf .deps/venv
    python3 -m venv .deps/venv
  fi
  .deps/venv/bin/python -m pip install --quiet --disable-pip-version-check --retries 1 "$@"
  echo "$*" >"$stamp"
}

group packages "${base[@]}"
for wanted in "$@"; do
  case $wanted in
    peers) group peers "${peers[@]}" ;;
    nncf) group nncf "${base[@]}" "${peers[@]}" "${nncf[@]}" ;;
    torch) group torch "${base[@]}" "${torch[@]}" ;;
    *) echo "python_env.sh: expected peers, nncf or torch, got $wanted" >&2 && exit 1 ;;
  esac
done
