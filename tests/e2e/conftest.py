"""The built binary as its users meet it: command line in, exit codes, JSON and files out.

NARROW_BINARY and NARROW_DATA name another binary and another data pack than build/release/narrow and ../shared/data.
"""
import json
import os
import pathlib
import subprocess

import numpy as np
import onnxruntime
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DIGITS = ROOT / "examples" / "digits"
MODEL = DIGITS / "digits.onnx"
ISAS = ["plain", "avx2", "avx2_vnni", "avx512", "avx512_vnni", "avx512_bf16", "amx"]


class Narrow:
    def __init__(self, binary):
        self.binary = binary

    def __call__(self, *args, code=0, environment=None, timeout=300, **options):
        """Runs `narrow ARGS`, checks the exit code; `.json` is the last line of stdout when --json is given."""
        done = subprocess.run([self.binary, *map(str, args)], capture_output=True, text=True, timeout=timeout,
                              env={**os.environ, **(environment or {})}, **options)
        said = f"narrow {' '.join(map(str, args))}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        assert done.returncode == code, f"exit {done.returncode}, expected {code}: {said}"
        done.json = json.loads(done.stdout.splitlines()[-1]) if "--json" in args else None
        return done

    def outputs(self, artifact, feeds, folder, *options, environment=None):
        """What `narrow run` answers to these arrays."""
        np.savez(folder / "in.npz", **feeds)
        self("run", artifact, "--input", folder / "in.npz", "--output", folder / "out.npz", *options,
             environment=environment)
        with np.load(folder / "out.npz") as arrays:
            return {name: arrays[name] for name in arrays.files}


def digits(split):
    """(inputs as the model reads them, labels)."""
    with np.load(DIGITS / f"{split}.npz") as arrays:
        return {"input": arrays["input"].astype(np.float32) / 16}, arrays["label"]


def onnx_runtime(path, feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds)))


@pytest.fixture(scope="session")
def narrow(tmp_path_factory):
    binary = pathlib.Path(os.environ.get("NARROW_BINARY", ROOT / "build" / "release" / "narrow"))
    assert binary.exists(), f"{binary}: build it first (scripts/build.sh)"
    os.environ["NARROW_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    return Narrow(binary)


@pytest.fixture(scope="session")
def built(narrow, tmp_path_factory):
    """The digits classifier built in every precision, the same file every time."""
    out = tmp_path_factory.mktemp("built") / "out"
    narrow("build", MODEL, "--calib", DIGITS / "calib.toml", "--eval", DIGITS / "eval.toml", "--out", out,
           "--precisions", "fp32,bf16,fp16,int8", "--seconds", "0.2", "--tactics", "pinned")
    return out


@pytest.fixture(scope="session")
def data_pack():
    folder = pathlib.Path(os.environ.get("NARROW_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "models").is_dir():
        pytest.skip("no data pack beside the repository (NARROW_DATA names another place)")
    return folder


@pytest.fixture(scope="session")
def isas(narrow):
    """The values of NARROW_MAX_ISA that differ on this machine."""
    best = narrow("doctor", "--json").json["best_isa"]
    return ISAS[:ISAS.index(best) + 1]
