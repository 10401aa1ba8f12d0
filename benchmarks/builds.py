"""Every build of a model that takes part: narrow's, and what the other runtimes' own tools make of the same samples."""
import dataclasses
import hashlib
import importlib.metadata
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import onnx

import cap_isa
import quantizers
import samples

HERE = pathlib.Path(__file__).resolve().parent
CALIBRATION_SAMPLES = 8
PACKAGES = ("onnxruntime", "openvino", "nncf")


@dataclasses.dataclass(frozen=True)
class Build:
    runtime: str  # narrow, ort, openvino
    precision: str  # fp32, bf16, fp16, int8: the row it is compared in
    label: str  # what the tables call it
    file: pathlib.Path


def work_folder(work: pathlib.Path, model: pathlib.Path, data: dict[str, np.ndarray]) -> pathlib.Path:
    """Its name changes with the model, the samples and the tools, so that what lies there may be used again."""
    digest = hashlib.sha256(model.read_bytes())
    for name, array in sorted(data.items()):
        digest.update(name.encode() + array.tobytes())
    digest.update(repr([importlib.metadata.version(name) for name in PACKAGES]).encode())
    folder = work / f"{model.stem}-{digest.hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]


def foreign(kind: str, model: pathlib.Path, folder: pathlib.Path, judged: pathlib.Path | None = None) -> pathlib.Path:
    """The folder with the build; made in a child process, and moved to its place when it is complete."""
    name = f"{kind}-{judged.stem}" if judged else kind
    out = folder / name
    if not out.exists():
        part = folder / f"{name}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        print(f"{model.stem}: making {kind}", file=sys.stderr)
        done = subprocess.run([sys.executable, HERE / "quantizers.py", kind, model, folder / "calib.npz", part,
                               *([judged] if judged else [])], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{kind}: {last_line(done.stderr)}")
        part.rename(out)
    return out


def environment(options) -> dict[str, str]:
    """Of narrow's processes."""
    return {**os.environ, "NARROW_MAX_ISA": options.isa} if options.isa else dict(os.environ)


def others_environment(options) -> dict[str, str]:
    """Of the other runtimes' processes, which know no such variable: the processor denies what it has."""
    return cap_isa.environment(options.isa, options.work) if options.isa else dict(os.environ)


def narrow_builds(narrow: str, model: pathlib.Path, folder: pathlib.Path, options) -> list[Build]:
    """Made anew each time: the binary may have changed."""
    print(f"{model.stem}: narrow build", file=sys.stderr)
    out = folder / "narrow"
    done = subprocess.run([narrow, "build", model, "--calib", folder / "calib.npz", "--out", out, "--quiet",
                           "--precisions", ",".join(options.precisions), "--batch", str(options.batch),
                           "--threads", str(options.threads), "--seconds", "0.2"], capture_output=True, text=True,
                          env=environment(options))
    if done.returncode:
        raise SystemExit(f"narrow build {model}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return [Build("narrow", p, p, out / f"{p}.narrow") for p in options.precisions]


def other_builds(model: pathlib.Path, folder: pathlib.Path, precisions: list[str]) -> tuple[list[Build], list[str]]:
    """The builds, and a line for each that could not be made."""
    builds, failures = [Build("ort", "fp32", "fp32", model)], []
    builds += [Build("openvino", p, p, model) for p in precisions if p != "int8"]
    wanted = []
    if quantizers.is_transformer(onnx.load(model)):
        wanted.append(("fused", "ort", "fp32", "fp32 fused", "model.onnx"))
        if "int8" in precisions:
            wanted.append(("dynamic", "ort", "int8", "dynamic", "model.onnx"))
    if "fp16" in precisions:
        wanted.append(("half", "ort", "fp16", "fp16", "model.onnx"))
    if "int8" in precisions:
        wanted += [("u8s8", "ort", "int8", "u8s8", "model.onnx"), ("nncf", "openvino", "int8", "int8", "model.xml")]
    for kind, runtime, precision, label, file in wanted:
        try:
            builds.append(Build(runtime, precision, label, foreign(kind, model, folder) / file))
        except RuntimeError as error:
            failures.append(str(error))
    return builds, failures


def write_samples(model: onnx.ModelProto, data: dict[str, np.ndarray], folder: pathlib.Path, batch: int):
    """calib.npz for those who calibrate; feed.npz, one batch, is what every contestant is timed on."""
    np.savez(folder / "calib.npz", **data)
    np.savez(folder / "feed.npz", **samples.batch_of(data, batch))
