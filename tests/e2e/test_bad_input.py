"""Wrong input: the exit code, a message that names the culprit, and nothing left behind."""
import json
import resource
import shutil
import subprocess

import numpy as np
import onnx
import pytest

from conftest import DIGITS, MODEL, ROOT, digits

CALIB, EVAL = DIGITS / "calib.toml", DIGITS / "eval.toml"


def refuse(narrow, folder, *arguments, code=1, names=(), **options):
    """The command fails with `code`, its message holds `names`, and `folder` holds what it held before."""
    before = sorted(p.relative_to(folder) for p in folder.rglob("*"))
    done = narrow(*arguments, code=code, timeout=60, **options)
    assert done.stdout.count("\n") <= 1 and "error" in done.stderr.lower() or code == 2, done.stdout
    assert len(done.stderr.strip()) >= 20
    for name in names:
        assert name in done.stderr
    assert sorted(p.relative_to(folder) for p in folder.rglob("*")) == before
    return done


def edited(path, change):
    model = onnx.load(MODEL)
    change(model.graph)
    onnx.save(model, path)
    return path


def fill_first_weight(value):
    def change(graph):
        tensor = graph.initializer[0]
        array = onnx.numpy_helper.to_array(tensor).copy()
        array.flat[0] = value
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    return change


def build(model, calib, out, *more):
    return ["build", model, "--calib", calib, "--out", out, "--seconds", "0.05", *more]


def test_missing_model(narrow, tmp_path):
    for command in (["inspect"], ["bench"], ["explain"]):
        refuse(narrow, tmp_path, *command, tmp_path / "none.onnx", names=["none.onnx"])
    refuse(narrow, tmp_path, *build(tmp_path / "none.onnx", CALIB, tmp_path / "out"), names=["none.onnx"])


@pytest.mark.parametrize("size", [0, 1, 100, 5000, 100000])
def test_truncated_model(narrow, tmp_path, size):
    (tmp_path / "cut.onnx").write_bytes(MODEL.read_bytes()[:size])
    refuse(narrow, tmp_path, "inspect", tmp_path / "cut.onnx", names=["cut.onnx"])
    refuse(narrow, tmp_path, *build(tmp_path / "cut.onnx", CALIB, tmp_path / "out"), names=["cut.onnx"])


def test_truncated_and_damaged_artifact(narrow, built, tmp_path):
    whole = (built / "int8.narrow").read_bytes()
    for size in (7, 8, 40, 4096, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.narrow").write_bytes(whole[:size])
        refuse(narrow, tmp_path, "inspect", tmp_path / "cut.narrow", names=["cut.narrow"])
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 1
    (tmp_path / "flipped.narrow").write_bytes(flipped)
    refuse(narrow, tmp_path, "bench", tmp_path / "flipped.narrow", names=["checksum"])


@pytest.mark.parametrize("text", ["", "[", "[]", "7", "{}", '{"decision": 1, "builds": []}', '{"decision": {}, "builds": {}}',
                                  '{"decision": {}, "builds": ' + "[" * 100000, "[" * 100000 + "]" * 100000])
def test_manifest_that_is_none(narrow, tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    for command in ("explain", "report"):
        refuse(narrow, tmp_path, command, tmp_path, names=["manifest.json"])


@pytest.mark.parametrize("name", ["character_of_another_script_as_space", "zero_byte_in_a_key", "table_without_a_name"])
def test_configuration_that_is_no_toml(narrow, tmp_path, name):
    file = ROOT / "tests" / "regressions" / f"{name}.toml"
    refuse(narrow, tmp_path, "build", "--config", file, names=[f"{name}.toml:"])


def test_manifest_whose_members_have_other_types(narrow, tmp_path):
    decision = {"explanation": 1, "verdicts": {"int8": 7, "fp32": {"text": []}}, "fallback": [1, "int8", None], "chosen": {}}
    builds = [1, None, [], {"name": 2, "recipe": [], "findings": {"a": 1}},
              {"name": "x", "recipe": {"nodes": {"n": 1, "m": {"format": 8, "reason": "why"}}}, "findings": ["f", 1]}]
    for change in ({}, {"verdicts": "a", "fallback": "b"}, {"verdicts": [1], "fallback": {"a": 1}}):
        (tmp_path / "manifest.json").write_text(json.dumps({"decision": {**decision, **change}, "builds": builds}))
        assert "m computes in : why" in narrow("explain", tmp_path).stdout


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers(narrow, tmp_path, value):
    model = edited(tmp_path / "nan.onnx", fill_first_weight(value))
    refuse(narrow, tmp_path, *build(model, CALIB, tmp_path / "out"), names=["weight_0"])


def test_an_op_nobody_knows(narrow, tmp_path):
    def change(graph):
        graph.node[2].op_type = "Frobnicate"
    model = edited(tmp_path / "op.onnx", change)
    refuse(narrow, tmp_path, "inspect", model, names=["Frobnicate", "relu_1"])


def test_data_that_is_no_number(narrow, tmp_path):
    images = digits("calib")[0]["input"][:8].copy()
    images[5, 0, 3, 3] = np.nan
    np.savez(tmp_path / "nan.npz", input=images)
    refuse(narrow, tmp_path, *build(MODEL, tmp_path / "nan.npz", tmp_path / "out"))


def test_wrong_shape_name_and_type(narrow, tmp_path):
    cases = {"shape": {"input": np.zeros((2, 1, 8, 7), np.float32)}, "rank": {"input": np.zeros((2, 8, 8), np.float32)},
             "name": {"other": np.zeros((2, 1, 8, 8), np.float32)}, "complex": {"input": np.zeros((2, 1, 8, 8), np.complex64)},
             "text": {"input": np.full((2, 1, 8, 8), "a")}, "scalar": {"input": np.float32(1)}}
    for name, arrays in cases.items():
        file = tmp_path / f"{name}.npz"
        np.savez(file, **arrays)
        refuse(narrow, tmp_path, "run", MODEL, "--input", file, "--output", tmp_path / "out.npz")
        refuse(narrow, tmp_path, *build(MODEL, file, tmp_path / "out"))


def test_empty_data(narrow, tmp_path):
    (tmp_path / "empty").mkdir()
    refuse(narrow, tmp_path, *build(MODEL, tmp_path / "empty", tmp_path / "out"), names=["dataset.toml"])
    (tmp_path / "empty" / "dataset.toml").write_text('kind = "tensors"\n')
    refuse(narrow, tmp_path, *build(MODEL, tmp_path / "empty", tmp_path / "out"), names=["*.npz"])
    np.savez(tmp_path / "none.npz", input=np.zeros((0, 1, 8, 8), np.float32))
    refuse(narrow, tmp_path, *build(MODEL, tmp_path / "none.npz", tmp_path / "out"), names=["sample"])
    (tmp_path / "cut.npz").write_bytes((DIGITS / "calib.npz").read_bytes()[:3000])
    refuse(narrow, tmp_path, *build(MODEL, tmp_path / "cut.npz", tmp_path / "out"), names=["cut.npz"])


def test_wrong_dataset_descriptions(narrow, tmp_path):
    shutil.copy(DIGITS / "calib.npz", tmp_path)
    good = 'kind = "tensors"\nfiles = "calib.npz"\n'
    for text, name in {"kind = [": "dataset.toml:1", 'kind = "sounds"\n': "kind", good + "colour = 1\n": "colour",
                       good + 'scale = "big"\n': "scale", good + "std = [0.0]\n": "std", good + 'labels = "tags"\n': "tags",
                       good + "mean = [1.0, 2.0, 3.0]\n": "mean", good + 'next_token = "words"\n': "next_token"}.items():
        (tmp_path / "dataset.toml").write_text(text)
        refuse(narrow, tmp_path, *build(MODEL, tmp_path / "dataset.toml", tmp_path / "out"), names=[name])


@pytest.mark.parametrize("labels", [[3, 99], [-1, 3], [1.5, 2.5], [1, 2, 3]])
def test_mislabelled_data(narrow, tmp_path, labels):
    np.savez(tmp_path / "eval.npz", input=np.zeros((2, 1, 8, 8), np.float32), label=np.array(labels))
    (tmp_path / "eval.toml").write_text('kind = "tensors"\nfiles = "eval.npz"\nlabels = "label"\n')
    refuse(narrow, tmp_path, *build(MODEL, CALIB, tmp_path / "out", "--eval", tmp_path / "eval.toml"))


def test_wrong_usage(narrow, tmp_path):
    for arguments, name in ((["build", MODEL, "--nonsense"], "--"), (["build", MODEL], "--"), (["frobnicate"], "frobnicate"),
                            (build(MODEL, CALIB, tmp_path / "out", "--precisions", "int9"), "int9"),
                            (build(MODEL, CALIB, tmp_path / "out", "--objective", "beauty"), "beauty"),
                            (build(MODEL, CALIB, tmp_path / "out", "--proof", "none"), "none"),
                            (build(MODEL, CALIB, tmp_path / "out", "--batch", "0"), "--batch"),
                            (build(MODEL, CALIB, tmp_path / "out", "--calib-method", "guess"), "guess"),
                            (["bench", MODEL, "--threads", "many"], "--threads"),
                            (["bench", MODEL, "--threads", "2", "--streams", "3"], "--streams: expected 1 to 2, the number of --threads, got 3"),
                            (["bench", MODEL, "--streams", "0"], "--threads, got 0"),
                            (["bench", MODEL, "--streams", "-1"], "--threads, got -1"),
                            (["quantize", MODEL, "--precision", "mixed", "--out", tmp_path / "a.onnx"], "mixed"),
                            (["quantize", MODEL, "--precision", "bf16", "--out", tmp_path / "a.txt"], ".narrow")):
        refuse(narrow, tmp_path, *arguments, code=2, names=[name])


def test_gates_without_data_to_compute_them(narrow, tmp_path):
    refuse(narrow, tmp_path, *build(MODEL, CALIB, tmp_path / "out", "--precisions", "fp32,int8", "--gate", "top1.drop<=1pp"),
           names=["top1"])


def test_calibration_of_another_model(narrow, built, tmp_path):
    other = edited(tmp_path / "other.onnx", fill_first_weight(0.5))
    refuse(narrow, tmp_path, "quantize", other, "--precision", "int8", "--calibration", built / "calibration.json", "--out",
           tmp_path / "a.narrow", names=["calibrat"])
    (tmp_path / "c.json").write_text('{"kind": "something else"}')
    refuse(narrow, tmp_path, "quantize", MODEL, "--precision", "int8", "--calibration", tmp_path / "c.json", "--out",
           tmp_path / "a.narrow", names=["c.json"])


def test_output_under_a_file(narrow, tmp_path):
    (tmp_path / "file").write_text("here first")
    for out in (tmp_path / "file", tmp_path / "file" / "x"):
        refuse(narrow, tmp_path, *build(MODEL, CALIB, out), names=["file"])
    refuse(narrow, tmp_path, "calibrate", MODEL, "--data", CALIB, "--out", tmp_path / "file" / "c.json", names=["file"])
    assert (tmp_path / "file").read_text() == "here first"


def test_files_that_cannot_grow(narrow, tmp_path):
    """A write that fails half-way: nothing stays, neither a part of the new folder nor a temporary file."""
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000))
    limited = {"preexec_fn": small_files, "restore_signals": False}  # SIGXFSZ stays ignored: the write reports EFBIG
    refuse(narrow, tmp_path, *build(MODEL, CALIB, tmp_path / "out", "--precisions", "fp32,int8"), **limited)
    refuse(narrow, tmp_path, "quantize", MODEL, "--precision", "bf16", "--out", tmp_path / "b.narrow", **limited)


def test_full_disk_leaves_the_old_build(narrow, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    script = f"""mount -t tmpfs -o size=300k none '{disk}' || exit 77
        mkdir '{disk}/out' && echo old >'{disk}/out/manifest.json'
        '{narrow.binary}' build '{MODEL}' --calib '{CALIB}' --out '{disk}/out' --seconds 0.05 --quiet; code=$?
        find '{disk}' -mindepth 1 -printf '%P\\n'; cat '{disk}/out/manifest.json'; exit $code"""
    done = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script], capture_output=True,
                          text=True, timeout=120)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no file system can be mounted here")
    assert done.returncode == 1 and "space" in done.stderr
    assert sorted(done.stdout.split()) == ["old", "out", "out/manifest.json"]
