#!/usr/bin/env bash
# Everything from a fresh machine to build/release/narrow.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install_deps.sh
scripts/fetch_onnx_proto.sh
cmake --preset release
cmake --build --preset release
