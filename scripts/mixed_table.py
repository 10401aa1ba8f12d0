#!/usr/bin/env python3
"""The measured table of docs/precisions/mixed.md: what the search for a mix finds where int8 just fails.

    scripts/mixed_table.py            prints the table
    scripts/mixed_table.py --write    and replaces the one between the markers of docs/precisions/mixed.md
    scripts/mixed_table.py [--write] NAME...    of some models only
The gate of each model is 2 dB more SQNR than its int8 build has. Milliseconds are medians of whole runs; in parentheses the sum of the
steps' medians, which is what the search goes by, and which other work on the machine disturbs less. NARROW_BINARY and NARROW_DATA name another binary and another
data pack than build/release/narrow and ../shared/data.
"""
import collections
import json
import math
import subprocess
import sys
import tempfile

import calibration_table as shared
import marked_table

PAGE = shared.ROOT / "docs" / "precisions" / "mixed.md"
PRECISIONS = "fp32,bf16,fp16,int8,int8-dynamic"


def build(model, calib, evaluation, *options):
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([shared.BINARY, "build", model, "--calib", calib, "--eval", evaluation, "--out", f"{folder}/out",
                               "--json", "--quiet", *options], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3, 4):
        sys.exit(f"{model}: {done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1])


def row(model, calib, evaluation):
    first = build(model, calib, evaluation, "--precisions", "fp32,int8", "--seconds", "0.01")
    int8 = next(b for b in first["builds"] if b["name"] == "int8")["figures"]["sqnr"]["value"]
    gate = math.ceil(10 * (int8 + 2)) / 10
    manifest = build(model, calib, evaluation, "--precisions", PRECISIONS + ",mixed", "--gate", f"sqnr>={gate}dB",
                              "--budget", "2")
    ms = {b["name"]: b["speed"]["median_ms"] for b in manifest["builds"]}
    holds = {b["name"]: b["gates"][0]["verdict"] == "passed" for b in manifest["builds"]}
    uniform = min((name for name in ms if name != "mixed" and holds[name]), key=ms.get)
    mix = manifest["mix"]
    choices = [layer["choices"] for layer in mix["layers"]]
    int8_steps = sum(c.get("int8", c["fp32"])["ms"] for c in choices)  # norms and attention are FP32 in an int8 build
    cells = [model.stem, f"{gate:.1f}", f"{ms['int8']:.2f} ({int8_steps:.2f})",
             f"{uniform} {ms[uniform]:.2f} ({mix['rival']['format']} {mix['rival']['ms']:.2f})"]
    if "mixed" in ms:
        counts = collections.Counter(layer["format"] for layer in mix["layers"])
        predicted = min(t["ms"] for t in mix["trials"] if t["holds"])
        cells += [f"{ms['mixed']:.2f} ({predicted:.2f})", ", ".join(f"{n} {f}" for f, n in sorted(counts.items(), key=lambda c: -c[1]))]
    else:
        cells += ["none", next(line for line in manifest["skipped"] if line.startswith("mixed: ")).removeprefix("mixed: ")]
    return cells + [str(len(mix["trials"])), manifest["decision"]["chosen"]]


def main():
    wanted = [argument for argument in sys.argv[1:] if argument != "--write"]
    lines = ["| model | gate, SQNR dB | int8, fails | fastest uniform build that holds | mixed | layers | mixes tried | chosen |",
             "| --- | ---: | ---: | --- | ---: | --- | ---: | --- |"]
    for model, calib, evaluation in shared.MODELS:
        if not model.exists() or (wanted and model.stem not in wanted):
            continue
        lines.append("| " + " | ".join(row(model, calib, evaluation)) + " |")
        print(lines[-1], file=sys.stderr)
    print("\n".join(lines))
    if "--write" in sys.argv[1:]:
        marked_table.write(PAGE, "mixed_table.py", "\n".join(lines))


if __name__ == "__main__":
    main()
