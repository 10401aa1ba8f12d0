#!/usr/bin/env python3
"""From photos to an int8 model, narrow against ONNX Runtime: wall time and peak memory, as a Markdown table.

Every step is a process of its own, rounds take the tools in turns, a figure is the median over rounds. narrow's
calibration keeps distributions, so one run of it serves every method: its time stands in each row in full. narrow
decodes the photos within its time; ONNX Runtime gets them decoded and resized, and its model pre-processed.
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import machine

ROOT = pathlib.Path(__file__).resolve().parent.parent
HERE = pathlib.Path(__file__).resolve().parent
METHODS = ["minmax", "percentile", "entropy"]


def run(log, *command) -> tuple[float, float]:
    """Seconds and peak MB of a process. Linux counts this process's own memory at the start as the child's, too:
    nothing large may be imported here."""
    start = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        log.seek(0)
        raise SystemExit(f"{' '.join(process.args)}: exit {process.returncode}\n{log.read()[-2000:]}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def prepare(options, folder: pathlib.Path) -> int:
    """What ONNX Runtime starts from, made before any timing: photos.npz and prepared.onnx. Returns how many photos."""
    photos = [sys.executable, HERE / "photos.py", options.model, options.images, folder / "photos.npz"]
    count = int(subprocess.run(photos, stdout=subprocess.PIPE, text=True, check=True).stdout)
    code = "import sys, pathlib, quantizers; quantizers.pre_process(*map(pathlib.Path, sys.argv[1:]))"
    subprocess.run([sys.executable, "-c", code, options.model.resolve(), folder / "prepared.onnx"], cwd=HERE,
                   check=True)
    return count


def measure_narrow(options, folder: pathlib.Path, log) -> dict[str, tuple[float, float]]:
    """method: seconds and MB of calibrate and quantize together; and of calibrate alone."""
    found = folder / "calibration.json"
    once = run(log, options.narrow, "calibrate", options.model, "--data", options.images, "--out", found, "--quiet")
    results = {"calibrate": once}
    for method in options.methods:
        step = run(log, options.narrow, "quantize", options.model, "--precision", "int8", "--calibration", found,
                   "--calib-method", method, "--out", folder / f"narrow-{method}.narrow", "--quiet")
        results[method] = (once[0] + step[0], max(once[1], step[1]))
    return results


def measure_ort(options, folder: pathlib.Path, log) -> dict[str, tuple[float, float]]:
    """method: seconds and MB; and of Python's imports alone."""
    quantize = [sys.executable, HERE / "ort_calibration.py"]
    results = {"imports": run(log, *quantize, "--imports")}
    for method in options.methods:
        results[method] = run(log, *quantize, folder / "prepared.onnx", folder / "photos.npz", method,
                              folder / f"ort-{method}.onnx")
    return results


def medians(rounds: list[dict]) -> dict[str, tuple[float, float]]:
    return {key: tuple(statistics.median(r[key][i] for r in rounds) for i in range(2)) for key in rounds[0]}


def report(options, photos: int, narrow: dict, ort: dict, neighbours: float):
    print(f"{options.model.stem}, {photos} photos · {machine.title(options.about)} · rounds: {options.rounds} · "
          f"load average {options.load:.2f} before, other programs used {neighbours:.2f} cores during the run\n")
    print("| method | narrow s | ONNX Runtime s | ÷ narrow | narrow MB | ONNX Runtime MB | ÷ narrow |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for method in options.methods:
        (s, mb), (ort_s, ort_mb) = narrow[method], ort[method]
        print(f"| {method} | {s:.2f} | {ort_s:.2f} | {ort_s / s:.1f} | {mb:.0f} | {ort_mb:.0f} | {ort_mb / mb:.1f} |")
    print(f"\nOf narrow's seconds {narrow['calibrate'][0]:.2f} are `narrow calibrate`, decoding included, once for all "
          f"methods. Of ONNX Runtime's {ort['imports'][0]:.2f} are Python's imports; it gets prepared arrays.")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path, metavar="MODEL.onnx")
    parser.add_argument("--images", type=pathlib.Path, required=True, metavar="DATASET.toml")
    parser.add_argument("--methods", default=",".join(METHODS), help="default %(default)s")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--narrow", default=str(ROOT / "build" / "release" / "narrow"), help="the binary to measure")
    options = parser.parse_args()
    options.methods, options.load = options.methods.split(","), os.getloadavg()[0]
    if unknown := set(options.methods) - set(METHODS):
        parser.error(f"--methods: {', '.join(unknown)} is none of {', '.join(METHODS)}")
    needed = [pathlib.Path(options.narrow), options.model, options.images]
    if missing := [str(path) for path in needed if not path.is_file()]:
        parser.error(f"no such file: {', '.join(missing)}")
    options.about = machine.describe(options.narrow, ("onnxruntime",))
    return options


def main():
    options = parse()
    with tempfile.TemporaryDirectory() as temporary, tempfile.TemporaryFile("w+") as log:
        folder = pathlib.Path(temporary)
        photos = prepare(options, folder)
        narrow, ort, neighbours = [], [], machine.Neighbours()
        for round_number in range(options.rounds):
            turns = [(narrow, measure_narrow), (ort, measure_ort)]
            for results, measure in turns if round_number % 2 == 0 else reversed(turns):
                results.append(measure(options, folder, log))
        report(options, photos, medians(narrow), medians(ort), neighbours.cores())


if __name__ == "__main__":
    main()
