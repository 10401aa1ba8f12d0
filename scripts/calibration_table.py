#!/usr/bin/env python3
"""The measured tables of docs/calibration/: int8 by every calibration method.

    scripts/calibration_table.py            prints the table of docs/calibration/index.md
    scripts/calibration_table.py --write    and replaces the tables between the markers of docs/calibration/*.md
Runs `narrow build --precisions fp32,int8 --calib-method METHOD` on examples/digits and on the models of the data pack that are
there. NARROW_BINARY and NARROW_DATA name another binary and another data pack than build/release/narrow and ../shared/data.
"""
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

import marked_table

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = pathlib.Path(os.environ.get("NARROW_BINARY", ROOT / "build" / "release" / "narrow"))
DATA = pathlib.Path(os.environ.get("NARROW_DATA", ROOT.parent / "shared" / "data"))
PAGES = ROOT / "docs" / "calibration"
METHODS = ("minmax", "percentile", "mse", "entropy", "moving-average", "auto", "output-error")
DIGITS = ROOT / "examples" / "digits"
# model, calibration data, evaluation data
MODELS = [(DIGITS / "digits.onnx", DIGITS / "calib.toml", DIGITS / "eval.toml")] + [
    (DATA / "models" / f"{model}.onnx", DATA / "datasets" / f"{calib}.toml", DATA / "datasets" / f"{evaluation}.toml")
    for model, calib, evaluation in (
        ("resnet20_cifar10", "cifar10-calib", "cifar10-eval"),
        ("mobilenet_v1_0.75", "imagenet-calib.mobilenet", "imagenet-eval.mobilenet"),
        ("squeezenet1.1", "imagenet-calib.torch", "imagenet-eval.torch"),
        ("face_rfb320", "photos-calib.face", "photos-eval.face"),
        ("fastestdet", "photos-calib.fastestdet", "photos-eval.fastestdet"),
        ("stories260K", "tinystories-calib", "tinystories-eval"))]
UNITS = {"top1": " %", "perplexity": "", "cosine": ""}
DIGITS_SHOWN = {"top1": 2, "perplexity": 4, "cosine": 5}


def narrow(*arguments):
    """Runs the binary; its JSON and the processor seconds it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([BINARY, *arguments, "--json", "--quiet"], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 3, 4):
        sys.exit(f"narrow {' '.join(map(str, arguments))}: {done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1]), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def headline(figures):
    return next(name for name in UNITS if name in figures)


def shown(name, value):
    return f"{value:.{DIGITS_SHOWN[name]}f}{UNITS[name]}"


def measure(model, calib, evaluation, method, folder):
    """The FP32 and int8 figures of one method, and the processor seconds of its calibration and scales."""
    out, profile = folder / "out", folder / "calibration.json"
    manifest, _ = narrow("build", model, "--calib", calib, "--eval", evaluation, "--out", out, "--precisions", "fp32,int8",
                         "--calib-method", method, "--recipe", "nearest", "--seconds", "0.01")
    figures = next(build for build in manifest["builds"] if build["name"] == "int8")["figures"]
    reference = next(build for build in manifest["builds"] if build["name"] == "fp32")["figures"]
    # The process's own time, from the calibration data to the file.
    _, calibrate = narrow("calibrate", model, "--data", calib, "--out", profile, "--calib-method", method)
    _, quantize = narrow("quantize", model, "--precision", "int8", "--calibration", profile, "--calib-method", method,
                         "--out", folder / "int8.narrow")
    name = headline(figures)
    return {"figure": name, "fp32": reference[name]["value"], "int8": figures[name]["value"],
            "sqnr": figures["sqnr"]["value"], "seconds": calibrate + quantize}


def overview(models, results):
    """Every method and model: the answers' figure, and the SQNR of the outputs in dB."""
    lines = ["| method | " + " | ".join(models) + " |", "| --- |" + " ---: |" * len(models)]
    first = [results[model][METHODS[0]] for model in models]
    lines.append("| FP32 | " + " | ".join(shown(r["figure"], r["fp32"]) for r in first) + " |")
    for method in METHODS:
        cells = [results[model][method] for model in models]
        lines.append(f"| {method} | " + " | ".join(f"{shown(r['figure'], r['int8'])}, {r['sqnr']:.1f} dB" for r in cells) + " |")
    return "\n".join(lines)


def of_method(models, results, method):
    lines = ["| model | figure | FP32 | int8 | SQNR dB | best SQNR dB of any method | processor s |",
             "| --- | --- | ---: | ---: | ---: | ---: | ---: |"]
    for model in models:
        r = results[model][method]
        best = max(METHODS, key=lambda m: results[model][m]["sqnr"])
        lines.append(f"| {model} | {r['figure']} | {shown(r['figure'], r['fp32'])} | {shown(r['figure'], r['int8'])} | {r['sqnr']:.1f} | "
                     f"{results[model][best]['sqnr']:.1f} ({best}) | {r['seconds']:.1f} |")
    return "\n".join(lines)


def main():
    results = {}
    for model, calib, evaluation in MODELS:
        if not model.exists():
            print(f"{model.stem}: not there, left out", file=sys.stderr)
            continue
        for method in METHODS:
            with tempfile.TemporaryDirectory() as folder:
                row = measure(model, calib, evaluation, method, pathlib.Path(folder))
            results.setdefault(model.stem, {})[method] = row
            print(f"{model.stem} {method}: {row}", file=sys.stderr)
    models = list(results)
    print(overview(models, results))
    if sys.argv[1:] == ["--write"]:
        marked_table.write(PAGES / "index.md", "calibration_table.py", overview(models, results))
        for method in METHODS:
            marked_table.write(PAGES / f"{method}.md", "calibration_table.py", of_method(models, results, method))


if __name__ == "__main__":
    main()
