#!/usr/bin/env python3
"""How long the methods that look at data take: wall time of `narrow quantize`, one after the other.

usage: method_times.py --narrow build/release/narrow [--work DIR]
Models are those of models.py with random weights, data are random: the time does not depend on what they are.
"""
import argparse
import pathlib
import subprocess
import tempfile
import time

import numpy as np
import onnx

import models
import samples

# model, samples, precision, recipe
CASES = [("bert_base", 32, "int4", "gptq"), ("mobilenet_v2", 256, "int8", "nearest, adaround"), ("mobilenet_v2", 256, "int8", "gptq"),
         ("mobilenet_v2", 64, "int8", "seqmse")]


def run(narrow, *arguments):
    subprocess.run([narrow, *map(str, arguments), "--quiet"], check=True, stdout=subprocess.DEVNULL)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--narrow", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "method_times")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    print("| model | samples | precision | recipe | wall s |\n| --- | ---: | --- | --- | ---: |")
    for name, count, precision, recipe in CASES:
        model, data, scales = (options.work / f"{name}{count}.{kind}" for kind in ("onnx", "npz", "json"))
        if not model.exists():
            proto = {**models.MODELS, "bert_base": models.bert_base}[name]()
            onnx.save(proto, model)
            np.savez(data, **samples.random_samples(proto, count, seed=1))
        extra = []
        if precision == "int8":
            run(options.narrow, "calibrate", model, "--data", data, "--out", scales)
            extra = ["--calibration", scales]
        started = time.monotonic()
        run(options.narrow, "quantize", model, "--precision", precision, "--data", data, "--recipe", recipe, *extra, "--out",
            options.work / "out.narrow")
        print(f"| {name} | {count} | {precision} | {recipe} | {time.monotonic() - started:.0f} |", flush=True)


if __name__ == "__main__":
    main()
