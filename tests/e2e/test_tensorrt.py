"""Files meant for TensorRT: its rules of explicit quantization, its calibration cache."""
import json
import struct

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from conftest import DIGITS, MODEL, digits, onnx_runtime

CALIB, EVAL = DIGITS / "calib.toml", DIGITS / "eval.toml"


@pytest.fixture(scope="module")
def files(narrow, tmp_path_factory):
    out = tmp_path_factory.mktemp("tensorrt") / "out"
    narrow("build", MODEL, "--calib", CALIB, "--eval", EVAL, "--out", out, "--target", "tensorrt",
           "--precisions", "fp32,int8,int4", "--seconds", "0.05")
    return out


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_quantization_is_symmetric_and_between_pairs(files, precision):
    graph = onnx.load(files / f"{precision}.onnx").graph
    numbers = {t.name: t for t in graph.initializer}
    readers = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node.op_type)
    quantized = [n for n in graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert quantized
    for node in quantized:
        assert node.input[1] in numbers, "scales are constants"
        assert (numpy_helper.to_array(numbers[node.input[1]]) > 0).all()
        if len(node.input) > 2:
            zero = numbers[node.input[2]]
            assert zero.data_type in (TensorProto.INT8, TensorProto.INT4)
            assert not numpy_helper.to_array(zero).astype(np.int64).any()
        if node.op_type == "QuantizeLinear":
            assert set(readers[node.output[0]]) == {"DequantizeLinear"}
            assert numbers[node.input[2]].data_type == TensorProto.INT8
        elif node.input[0] in numbers:
            assert numbers[node.input[0]].data_type in (TensorProto.INT8, TensorProto.INT4)
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm") and len(node.input) > 2:
            assert numbers[node.input[2]].data_type == TensorProto.FLOAT, "biases stay float"


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_answers(narrow, files, tmp_path, precision):
    feeds, labels = digits("eval")
    ours = narrow.outputs(files / f"{precision}.narrow", feeds, tmp_path)["logits"].argmax(1)
    assert np.mean(ours == onnx_runtime(files / f"{precision}.onnx", feeds)["logits"].argmax(1)) >= 0.99
    assert np.mean(ours == onnx_runtime(MODEL, feeds)["logits"].argmax(1)) >= 0.98


def test_inspect_names_what_breaks_the_rules(narrow, files, built):
    good = narrow("inspect", files / "int8.onnx", "--tensorrt", "--json")
    assert good.json["tensorrt_violations"] == [] and "rules of explicit quantization hold" in good.stderr
    bad = narrow("inspect", built / "int8.onnx", "--tensorrt", "--json")
    rules = {v["rule"] for v in bad.json["tensorrt_violations"]}
    assert {"signed-int8", "float-bias"} <= rules
    for violation in bad.json["tensorrt_violations"]:
        assert violation["node"] and violation["expected"] and violation["got"] and violation["remedy"]


def test_calibration_cache(narrow, tmp_path):
    narrow("calibrate", MODEL, "--data", CALIB, "--out", tmp_path / "c.json", "--calib-method", "minmax",
           "--tensorrt-cache", tmp_path / "calibration.cache")
    lines = (tmp_path / "calibration.cache").read_text().splitlines()
    assert lines[0].startswith("TRT-") and lines[0].endswith("-EntropyCalibration2")
    scales = {}
    for line in lines[1:]:
        name, digits_ = line.rsplit(": ", 1)
        scales[name] = struct.unpack(">f", bytes.fromhex(digits_))[0]
    values = json.loads((tmp_path / "c.json").read_text())["values"]
    assert set(scales) == set(values)
    for name, value in values.items():
        assert scales[name] == pytest.approx(max(-value["min"], value["max"], 0) / 127, rel=1e-6), name


def test_what_tensorrt_cannot_take_is_refused(narrow, tmp_path):
    done = narrow("quantize", MODEL, "--precision", "int8-dynamic", "--target", "tensorrt", "--out", tmp_path / "o.onnx", code=1)
    assert "constant scales" in done.stderr and not (tmp_path / "o.onnx").exists()
    narrow("quantize", MODEL, "--precision", "int8", "--target", "tflite", "--out", tmp_path / "o.onnx", code=2)
