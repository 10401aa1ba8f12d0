#!/usr/bin/env bash
# Takes onnx-ml.proto out of the onnx package into .deps/. Does nothing when it is there.
set -euo pipefail
cd "$(dirname "$0")/.."
version=1.23.2
[ -s .deps/onnx-ml.proto ] && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$work" "onnx==$version" ||
  python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 --platform manylinux_2_28_x86_64 \
    --dest "$work" "onnx==$version"
mkdir -p .deps
python3 -m zipfile -e "$work"/onnx-*.whl "$work/onnx"
cp "$work/onnx/onnx/onnx-ml.proto" .deps/onnx-ml.proto
