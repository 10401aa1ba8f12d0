#!/usr/bin/env python3
"""narrow against ONNX Runtime and OpenVINO on this machine, in one interleaved run per model: a Markdown table.

Every contestant lives in its own process, rounds visit them in rotation, a figure is the median of its rounds'
medians. Peak MB is the most memory of a process that opens that one file and runs it. Without --calib the samples are
random, which serves for speed and for nothing else.
"""
import argparse
import json
import os
import pathlib
import shlex
import sys

import onnx

import builds
import machine
import samples
from contestants import Resident, Visitor, record, rotate

ROOT = pathlib.Path(__file__).resolve().parent.parent
PRECISIONS = ["fp32", "bf16", "fp16", "int8"]


def surroundings(options) -> dict:
    """Taken before anything runs, so that the load average is that of the others."""
    load = os.getloadavg()[0]
    return machine.describe(options.narrow, builds.PACKAGES) | {
        "load_average": load, "threads": options.threads, "batch": options.batch, "rounds": options.rounds,
        "seconds": options.seconds, "data": str(options.calib or "random")}


def header(about: dict, results: list[dict]) -> str:
    neighbours = max(result["neighbour_cores"] for result in results)
    return (f"{machine.title(about)} · {about['threads']} threads · batch {about['batch']} · "
            f"{about['rounds']} rounds of {about['seconds']:g} s · "
            f"{'random samples' if about['data'] == 'random' else 'samples from a file'} · "
            f"load average {about['load_average']:.2f} before, "
            f"other programs used {neighbours:.2f} cores during the run\n")


def enter(model: onnx.ModelProto, entries: list[builds.Build], feed: pathlib.Path, options) -> tuple[list, list[str]]:
    """Starts the contestants: those, and a line for each that cannot run here."""
    free = samples.free_dimensions(model, options.batch)
    contestants, failures, elsewhere = [], [], builds.others_environment(options)
    for build in entries:
        if build.runtime == "narrow":
            contestants.append(Visitor(build, [
                options.narrow, "bench", build.file, "--data", feed, "--batch", str(options.batch), "--threads",
                str(options.threads), "--json", "--quiet"], builds.environment(options)))
            continue
        try:
            contestants.append(Resident(build, feed, options.threads, free, elsewhere))
        except RuntimeError as error:
            failures.append(str(error))
    return contestants, failures


def compare(path: pathlib.Path, options) -> dict:
    """One model: makes what is missing, measures, and returns the records."""
    model = onnx.load(path)
    data = (samples.load_for(model, options.calib) if options.calib
            else samples.random_samples(model, builds.CALIBRATION_SAMPLES, seed=1))
    folder = builds.work_folder(options.work, path, data)
    builds.write_samples(model, data, folder, options.batch)
    entries = builds.narrow_builds(options.narrow, path, folder, options)
    others, not_made = builds.other_builds(path, folder, options.precisions)
    neighbours = machine.Neighbours()
    contestants, not_loaded = enter(model, entries + others, folder / "feed.npz", options)
    print(f"{path.stem}: {len(contestants)} contestants", file=sys.stderr)
    try:
        rotate(contestants, options.rounds, options.seconds)
    finally:
        for contestant in contestants:
            contestant.close()
    return {"model": path.stem, "records": [record(c) for c in contestants], "failures": not_made + not_loaded,
            "neighbour_cores": neighbours.cores()}


def best(records: list[dict], runtime: str, precisions: list[str]) -> dict | None:
    rivals = [r for r in records if r["runtime"] == runtime and r["precision"] in precisions]
    return min(rivals, key=lambda r: r["median_ms"], default=None)


def cells(own: dict, rival: dict | None) -> str:
    if rival is None:
        return "– | – | –"
    return (f"{rival['median_ms']:.2f} ({rival['label']}) | {rival['median_ms'] / own['median_ms']:.2f} | "
            f"{rival['peak_mb']:.0f}")


def rows(result: dict):
    """FP32 meets FP32; bf16 and int8 meet ONNX Runtime's best build of all and OpenVINO's of the same precision."""
    for own in (r for r in result["records"] if r["runtime"] == "narrow"):
        precision = own["precision"]
        ort = best(result["records"], "ort", ["fp32"] if precision == "fp32" else PRECISIONS)
        openvino = best(result["records"], "openvino", [precision])
        name = f"{result['model']} | {precision}"
        mine = f"{own['median_ms']:.2f} | {own['peak_mb']:.0f}"
        yield f"| {name} | {mine} | {cells(own, ort)} | {cells(own, openvino)} |"


def unrest(results: list[dict]) -> str:
    """What a busy machine looks like in the figures themselves."""
    spread, result, record = max(((max(r["rounds_ms"]) / min(r["rounds_ms"]), result, r) for result in results
                                  for r in result["records"]), key=lambda entry: entry[0])
    return (f"Slowest over fastest round of one contestant: at most {spread:.2f} "
            f"({result['model']}, {record['runtime']} {record['label']}).")


def python_memory(results: list[dict]) -> str:
    """How much of the others' peaks is there before they open a file."""
    empty = {runtime: max((r["empty_mb"] for result in results for r in result["records"] if r["runtime"] == runtime), default=0)
             for runtime in ("ort", "openvino")}
    return (f"Of the peaks, Python, its packages and the inputs take {empty['ort']:.0f} MB in ONNX Runtime's processes, "
            f"{empty['openvino']:.0f} MB in OpenVINO's.")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=pathlib.Path, metavar="MODEL.onnx")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1, help="per contestant and round (default 1)")
    parser.add_argument("--precisions", default="fp32,bf16,int8", help="of narrow's builds (default %(default)s)")
    parser.add_argument("--calib", default="none", help="samples as an .npz of the models' inputs, or none (default)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="writes every round of every contestant")
    parser.add_argument("--isa", help="instructions that all may use at most: avx2, avx2_vnni, avx512, avx512_vnni or avx512_bf16")
    parser.add_argument("--narrow", default=str(ROOT / "build" / "release" / "narrow"), help="the binary to measure")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / ".deps" / "bench-work", help="folder for builds")
    options = parser.parse_args()
    options.calib = None if options.calib == "none" else pathlib.Path(options.calib)
    options.precisions = options.precisions.split(",")
    if unknown := set(options.precisions) - set(PRECISIONS):
        parser.error(f"--precisions: {', '.join(unknown)} is none of {', '.join(PRECISIONS)}")
    needed = [pathlib.Path(options.narrow), *options.models, *([options.calib] if options.calib else [])]
    if missing := [str(path) for path in needed if not path.is_file()]:
        parser.error(f"no such file: {', '.join(missing)}")
    return options


def main():
    options = parse()
    about = surroundings(options)
    results = [compare(path, options) for path in options.models]
    print(header(about, results))
    print("| model | build | narrow ms | peak MB | ONNX Runtime ms | ÷ narrow | peak MB | OpenVINO ms | ÷ narrow | peak MB |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    print("\n".join(row for result in results for row in rows(result)))
    print(f"\n{unrest(results)} {python_memory(results)}")
    for result in results:
        for failure in result["failures"]:
            print(f"\n{result['model']}: did not take part: {failure}")
    if options.json:
        everything = {"command": shlex.join(sys.argv), "machine": about, "results": results}
        options.json.write_text(json.dumps(everything, indent=1) + "\n")


if __name__ == "__main__":
    main()
