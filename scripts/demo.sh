#!/usr/bin/env bash
# From a fresh machine to a quantized classifier: installs, builds narrow, builds examples/digits in every precision.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/build.sh >&2
set -x
build/release/narrow build examples/digits/digits.onnx --calib examples/digits/calib.toml \
  --eval examples/digits/eval.toml --gate 'top1.drop<=1pp' --out out/digits
{ set +x; } 2>/dev/null
cat <<'EOT'

Where to look next:
  build/release/narrow explain out/digits            why this build, and why not the others
  build/release/narrow verify out/digits/int8.narrow --reference examples/digits/digits.onnx \
    --data examples/digits/eval.toml                 int8 against FP32, layer by layer
  build/release/narrow doctor                        what this machine is good at
  docs/index.md                                      the manual; docs/data.md describes your own data
EOT
