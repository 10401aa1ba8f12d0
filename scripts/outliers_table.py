#!/usr/bin/env python3
"""What weights apart give: the table of docs/methods/outliers.md.

    scripts/outliers_table.py            prints it
    scripts/outliers_table.py --write    and replaces the one between the markers of the page
Quantizes stories260K.onnx (data pack) by `narrow quantize --recipe 'outliers(percent=P), gptq'` and measures the perplexity of every
file in ONNX Runtime. NARROW_BINARY and NARROW_DATA name another binary and another data pack than build/release/narrow and
../shared/data.
"""
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

import onnx

import marked_table
import tinystories

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = pathlib.Path(os.environ.get("NARROW_BINARY", ROOT / "build" / "release" / "narrow"))
PAGE = ROOT / "docs" / "methods" / "outliers.md"
PRECISIONS, GROUPS, PERCENTS = ("int4", "int3", "int2"), (64, 32, 16, 8), (0, 0.5, 1, 2)


def measure(precision, group, percent):
    """(bits per weight, perplexity)"""
    recipe = f"outliers(percent={percent}), gptq" if percent else "gptq"
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "build.onnx"
        done = subprocess.run([BINARY, "quantize", tinystories.MODEL, "--precision", precision, "--recipe", recipe, "--group-size", str(group),
                               "--data", tinystories.DATA / "datasets" / "tinystories-calib.toml", "--out", file, "--quiet", "--json"],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{precision} {recipe}: {done.stderr.strip()}")
        stored = json.loads(done.stdout.splitlines()[-1])["recipe"]["stored_weights"]
        return stored["bits_per_weight"], tinystories.perplexity(onnx.load(file))


def against_line(bits, perplexity, plain):
    """Perplexity over that of groups alone at as many bits: log-linear between the two nearest group sizes. Nothing beyond them."""
    plain = sorted(plain)
    for (low, worse), (high, better) in zip(plain, plain[1:]):
        if low <= bits <= high:
            along = (bits - low) / (high - low)
            return perplexity / math.exp((1 - along) * math.log(worse) + along * math.log(better)) - 1
    return None


def table():
    lines = ["| precision | groups of | apart | bits per weight | perplexity | against groups alone |",
             "| --- | ---: | ---: | ---: | ---: | ---: |"]
    for precision in PRECISIONS:
        plain = [measure(precision, group, 0) for group in GROUPS]
        for group, alone in zip(GROUPS, plain):
            for percent in PERCENTS if group > min(GROUPS) else (0,):
                bits, perplexity = measure(precision, group, percent) if percent else alone
                ratio = against_line(bits, perplexity, plain) if percent else None
                lines.append(f"| {precision} | {group} | {percent:g}% | {bits:.3f} | {perplexity:.3f} | " +
                             (f"{ratio:+.1%} |" if ratio is not None else "|"))
                print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def main():
    text = table()
    print(text)
    if sys.argv[1:] == ["--write"]:
        marked_table.write(PAGE, "outliers_table.py", text)


if __name__ == "__main__":
    main()
