#!/usr/bin/env python3
"""What int8 builds answer, and how fast: narrow, ONNX Runtime and NNCF with its bias corrections and its accuracy control.

usage: accuracy.py MODEL.onnx CALIB.toml EVAL.toml [MODEL.onnx CALIB.toml EVAL.toml ...] [options]

All calibrate on the same arrays and are judged on the same arrays, one sample at a time. What may search (narrow's mixed, NNCF's
accuracy control) is given two bounds in turn: top-1 falls by one point at most; FP32's class is kept for 99% of the samples.
OpenVINO computes what is not int8 in FP32, as it does for NNCF's accuracy control; left to itself it may take bf16, which changes answers.
Prints a Markdown table. Times are medians of rounds that visit every contestant in turn.
"""
import argparse
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tomllib

import numpy as np
import onnx

import builds
import machine
import photos
import samples
from contestants import Resident, Visitor, rotate

ROOT = pathlib.Path(__file__).resolve().parent.parent
GATES = {"top-1": "top1.drop<=1pp", "agreement": "agreement>=99%"}
LAYERS = {"Conv", "Gemm", "MatMul", "ConvTranspose"}
OV_LAYERS = {"Convolution", "GroupConvolution", "MatMul", "ConvolutionBackpropData", "GroupConvolutionBackpropData"}


@dataclasses.dataclass
class Row:
    label: str
    file: pathlib.Path
    answers: np.ndarray  # class of each sample
    floats: int | None  # layers with products that stayed floats
    layers: int


def arrays_of(model: onnx.ModelProto, path: pathlib.Path) -> tuple[str, np.ndarray, np.ndarray]:
    """Name of the input, prepared samples, labels of a dataset file."""
    about = tomllib.loads(path.read_text())
    root, name = path.parent / about.get("root", "."), samples.inputs_of(model)[0].name
    if about["kind"] == "images":
        size = tuple(about.get("size") or photos.size_of(samples.inputs_of(model)[0], about.get("layout", "NCHW")))
        labels = dict(line.split("\t")[:2] for line in (root / about["labels"]).read_text().splitlines() if "\t" in line)
        files = [file for file in sorted(root.glob(about.get("files", "*.jpg"))) if file.name in labels]
        return name, np.stack([photos.prepare(file, size, about) for file in files]), np.array([int(labels[f.name]) for f in files])
    held = samples.load(root / about["files"])
    channels = (1, -1, 1, 1)
    mean, std = (np.float32(about.get(key, other)).reshape(channels) for key, other in (("mean", 0), ("std", 1)))
    return name, (held[name] * np.float32(about.get("scale", 1)) - mean) / std, held[about["labels"]]


def write_data(folder: pathlib.Path, kind: str, name: str, values: np.ndarray, labels: np.ndarray):
    """As narrow reads it; the npz without labels serves everybody else."""
    np.savez(folder / f"{kind}.npz", **{name: values})
    np.savez(folder / f"{kind}-labelled.npz", **{name: values, "label": labels.astype(np.int64)})
    (folder / f"{kind}.toml").write_text(f'kind = "tensors"\nfiles = "{kind}-labelled.npz"\nlabels = "label"\nmetric = "top1"\n')


def answers(run, values: np.ndarray) -> np.ndarray:
    return np.array([int(np.argmax(run(values[i : i + 1]))) for i in range(len(values))])


def ort_answers(file: pathlib.Path, name: str, values: np.ndarray) -> np.ndarray:
    import onnxruntime
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return answers(lambda x: session.run(None, {name: x})[0], values)


def openvino_answers(file: pathlib.Path, values: np.ndarray) -> np.ndarray:
    import openvino
    compiled = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return answers(lambda x: compiled(x)[0], values)


def openvino_floats(file: pathlib.Path) -> tuple[int, int]:
    """Layers whose weights stay floats, and all layers with weights."""
    import openvino
    floats = layers = 0
    for op in openvino.Core().read_model(file).get_ops():
        if op.get_type_name() not in OV_LAYERS:
            continue
        source = op.input_value(1).get_node()
        while source.get_type_name() in ("Reshape", "Multiply", "Subtract", "Convert", "Transpose"):
            source = source.input_value(0).get_node()
        if source.get_type_name() not in ("Constant", "FakeQuantize"):  # the latter: quantized when it is compiled
            continue
        layers += 1
        floats += source.get_type_name() == "Constant" and source.get_element_type().get_type_name() not in ("i8", "u8")
    return floats, layers


def onnx_floats(file: pathlib.Path) -> tuple[int, int]:
    """Layers whose weights are stored as floats, and all."""
    graph = onnx.load(file).graph
    quantized = {output for node in graph.node if node.op_type == "DequantizeLinear" for output in node.output}
    layers = [node for node in graph.node if node.op_type in LAYERS]
    return sum(node.input[1] not in quantized for node in layers), len(layers)


def narrow_rows(options, model: pathlib.Path, folder: pathlib.Path, values: np.ndarray):
    for by, gate in options.bounds.items():
        out = folder / f"narrow-{by}"
        done = subprocess.run([options.narrow, "build", model, "--calib", folder / "calib.toml", "--eval", folder / "eval.toml",
                               "--gate", gate, "--precisions", "fp32,bf16,int8,mixed", "--threads", str(options.threads),
                               "--seconds", "0.5", "--out", out, "--json", "--quiet"], capture_output=True, text=True)
        if done.returncode not in (0, 3, 4):
            raise SystemExit(f"narrow build {model}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr}")
        manifest = json.loads(done.stdout.splitlines()[-1])
        for build in manifest["builds"]:
            if build["name"] not in ("int8", "mixed") or (build["name"] == "int8" and by != next(iter(options.bounds))):
                continue
            label = "narrow int8" if build["name"] == "int8" else f"narrow mixed by {by}"
            file = out / f"{build['name']}.narrow"
            yield Row(label, file, narrow_answers(options, file, folder, values), *onnx_floats(file.with_suffix(".onnx")))
        if not any(build["name"] == "mixed" for build in manifest["builds"]):
            print(f"{model.stem}: no mixed by {by}: chosen is {manifest['decision']['chosen']}; {' '.join(manifest['skipped'])}", file=sys.stderr)


def narrow_answers(options, file: pathlib.Path, folder: pathlib.Path, values: np.ndarray) -> np.ndarray:
    given, got = folder / "eval.npz", folder / "answers.npz"
    subprocess.run([options.narrow, "run", file, "--input", given, "--output", got, "--quiet"], check=True, capture_output=True)
    with np.load(got) as outputs:
        return np.argmax(outputs[outputs.files[0]].reshape(len(values), -1), axis=1)


def foreign_rows(options, model: pathlib.Path, folder: pathlib.Path, name: str, values: np.ndarray):
    wanted = [("ONNX Runtime u8s8", "u8s8", None), ("NNCF, fast bias correction", "nncf", None), ("NNCF, bias correction", "nncf_bias", None)]
    wanted += [(f"NNCF, accuracy control by {by}", "nncf_control", folder / f"{by}.npz") for by in options.bounds]
    for label, kind, judged in wanted:
        try:
            made = builds.foreign(kind, model, folder, judged)
        except RuntimeError as error:
            print(f"{model.stem}: {label}: left out: {error}", file=sys.stderr)
            continue
        if kind == "u8s8":
            yield Row(label, made / "model.onnx", ort_answers(made / "model.onnx", name, values), *onnx_floats(made / "model.onnx"))
        else:
            yield Row(label, made / "model.xml", openvino_answers(made / "model.xml", values), *openvino_floats(made / "model.xml"))


def times(options, rows: list[Row], folder: pathlib.Path) -> list[list[float]]:
    contestants = []
    for row in rows:
        runtime = {".narrow": "narrow", ".onnx": "ort", ".xml": "openvino"}[row.file.suffix]
        build = builds.Build(runtime, "fp32" if runtime == "openvino" else "int8", row.label, row.file)  # the worker's hint
        contestants.append(Visitor(build, [options.narrow, "bench", row.file, "--data", folder / "feed.npz", "--batch", "1", "--threads",
                                           str(options.threads), "--json", "--quiet"], dict(os.environ)) if runtime == "narrow"
                           else Resident(build, folder / "feed.npz", options.threads, {}))
    try:
        rotate(contestants, options.rounds, options.seconds)
    finally:
        for contestant in contestants:
            contestant.close()
    return [contestant.medians for contestant in contestants]


def compare(options, path: pathlib.Path, calib: pathlib.Path, judged: pathlib.Path):
    """One model's lines of the table."""
    model = onnx.load(path)
    name, values, labels = arrays_of(model, calib)
    folder = builds.work_folder(options.work, path, {name: values})
    write_data(folder, "calib", name, values, labels)
    np.savez(folder / "feed.npz", **{name: values[:1]})
    name, values, labels = arrays_of(model, judged)
    write_data(folder, "eval", name, values, labels)
    fp32 = ort_answers(path, name, values)
    for by, wanted in (("top-1", labels), ("agreement", fp32)):
        np.savez(folder / f"{by}.npz", **{name: values, "wanted": wanted})
    print(f"{path.stem}: {len(values)} samples, FP32 top-1 {100 * np.mean(fp32 == labels):.2f} %", file=sys.stderr)
    rows = [*narrow_rows(options, path, folder, values), *foreign_rows(options, path, folder, name, values)]
    medians = times(options, rows, folder)
    own = medians[0]
    for row, ms in zip(rows, medians):
        ratios = sorted(theirs / mine for theirs, mine in zip(ms, own))
        yield (f"| {path.stem} | {row.label} | {100 * np.mean(row.answers == labels) - 100 * np.mean(fp32 == labels):+.2f} | "
               f"{100 * np.mean(row.answers == fp32):.2f} | {row.floats} of {row.layers} | {np.median(ms):.2f} | "
               f"{np.median(ratios):.2f} ({ratios[0]:.2f} … {ratios[-1]:.2f}) |")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1, help="per contestant and round (default 1)")
    parser.add_argument("--narrow", default=str(ROOT / "build" / "release" / "narrow"), help="the binary to measure")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / ".deps" / "bench-work", help="folder for builds")
    parser.add_argument("--bounds", default=",".join(GATES), help=f"for what may search (default {','.join(GATES)}); NNCF's takes hours with some")
    options = parser.parse_args()
    options.bounds = {by: GATES[by] for by in options.bounds.split(",")}
    if len(options.files) % 3:
        parser.error("expected MODEL.onnx CALIB.toml EVAL.toml, once or more")
    return options


def main():
    options = parse()
    load, neighbours = os.getloadavg()[0], machine.Neighbours()
    about = machine.describe(options.narrow, builds.PACKAGES)
    lines = [line for i in range(0, len(options.files), 3) for line in compare(options, *options.files[i : i + 3])]
    print(f"{machine.title(about)} · {options.threads} threads · batch 1 · {options.rounds} rounds of {options.seconds:g} s · "
          f"load average {load:.2f} before, other programs used {neighbours.cores():.2f} cores during the run\n")
    print("| model | build | top-1, points against FP32 | agreement % | layers in floats | ms | ÷ narrow int8 |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
