"""Models that come in half precision or quantized already."""
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from conftest import DIGITS, MODEL, digits, onnx_runtime

CALIB, EVAL = DIGITS / "calib.toml", DIGITS / "eval.toml"


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """The digits model in FP16, inputs and outputs too."""
    model = onnx.load(MODEL)
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    for value in [*model.graph.input, *model.graph.output, *model.graph.value_info]:
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.FLOAT16
    path = tmp_path_factory.mktemp("half") / "half.onnx"
    onnx.save(model, path)
    return path


def test_fp16_model_to_int8(narrow, half, tmp_path):
    out = tmp_path / "out"
    done = narrow("build", half, "--calib", CALIB, "--eval", EVAL, "--out", out, "--precisions", "fp32,fp16,int8", "--json")
    assert "half precision" in done.stderr
    feeds, labels = digits("eval")
    feeds = {"input": feeds["input"].astype(np.float16)}
    theirs = onnx_runtime(half, feeds)["logits"]
    assert theirs.dtype == np.float16
    for name in ("fp32", "fp16", "int8"):
        ours = narrow.outputs(out / f"{name}.narrow", feeds, tmp_path)["logits"]
        assert ours.dtype == np.float16, "outputs keep the model's type"
        assert np.mean(ours.argmax(1) == theirs.argmax(1)) >= 0.99, name
        assert np.mean(onnx_runtime(out / f"{name}.onnx", feeds)["logits"].argmax(1) == ours.argmax(1)) >= 0.99, name
    # FP32 of widened weights: what differs is FP16's rounding between operators, a few units of 2^-11.
    wide = narrow.outputs(out / "fp32.narrow", feeds, tmp_path)["logits"].astype(np.float64)
    assert np.abs(wide - theirs).max() <= 16 * 2.0**-11 * np.abs(wide).max()
    assert (out / "int8.narrow").stat().st_size < 0.4 * (out / "fp32.narrow").stat().st_size


def test_quantized_model_keeps_its_scales(narrow, built, tmp_path):
    """narrow's own int8.onnx as the model: int8 of it answers with the same bits, and its scales are the file's."""
    out = tmp_path / "out"
    done = narrow("build", built / "int8.onnx", "--calib", CALIB, "--eval", EVAL, "--out", out,
                  "--precisions", "fp32,bf16,int8,mixed", "--gate", "top1.drop<=5pp", "--json")
    assert "quantized already" in done.stderr and "mixed: the model brings scales of its own" in done.stderr
    feeds, _ = digits("eval")
    before = narrow.outputs(built / "int8.narrow", feeds, tmp_path)["logits"]
    after = narrow.outputs(out / "int8.narrow", feeds, tmp_path)["logits"]
    assert np.array_equal(before, after)
    recipe = {b["name"]: b for b in manifest(out)["builds"]}["int8"]["recipe"]
    given = onnx.load(built / "int8.onnx").graph
    numbers = {t.name: numpy_helper.to_array(t) for t in given.initializer}
    scales = {n.input[0]: numbers[n.input[1]] for n in given.node if n.op_type == "QuantizeLinear"}
    assert scales and {v["scale"] for v in recipe["activations"].values()} == {float(s) for s in scales.values()}


def test_what_is_inside_a_quantized_model(narrow, built, tmp_path):
    """fp32 of a quantized model: its rounded weights and its clamps, no rounding of activations."""
    out = tmp_path / "out"
    narrow("build", built / "int8.onnx", "--calib", CALIB, "--out", out, "--precisions", "fp32")
    feeds, _ = digits("eval")
    inside = narrow.outputs(out / "fp32.narrow", feeds, tmp_path)["logits"]
    original = narrow.outputs(built / "fp32.narrow", feeds, tmp_path)["logits"]
    integers = narrow.outputs(built / "int8.narrow", feeds, tmp_path)["logits"]
    noise = lambda x: float(np.mean((x - original) ** 2))
    assert 0 < noise(inside) < noise(integers)
    nodes = {n.op_type for n in onnx.load(out / "fp32.onnx").graph.node}
    assert not nodes & {"QuantizeLinear", "DequantizeLinear"}


def test_quantize_takes_the_models_scales_without_calibration(narrow, built, tmp_path):
    done = narrow("quantize", built / "int8.onnx", "--precision", "int8", "--out", tmp_path / "again.onnx", "--json")
    assert "taken exactly" in done.stderr
    feeds, _ = digits("eval")
    assert np.array_equal(narrow.outputs(tmp_path / "again.onnx", feeds, tmp_path)["logits"],
                          narrow.outputs(built / "int8.onnx", feeds, tmp_path)["logits"])


def test_dynamically_quantized_models_are_no_originals(narrow, tmp_path):
    x = onnx.helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])
    y = onnx.helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])
    w = numpy_helper.from_array(np.arange(-4, 4, dtype=np.int8).reshape(4, 2), "w")
    nodes = [onnx.helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
             onnx.helper.make_node("MatMulInteger", ["q", "w", "z"], ["p"], name="product"),
             onnx.helper.make_node("Cast", ["p"], ["f"], to=TensorProto.FLOAT),
             onnx.helper.make_node("Mul", ["f", "s"], ["y"])]
    graph = onnx.helper.make_graph(nodes, "g", [x], [y], [w])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "dynamic.onnx")
    feeds = {"x": np.random.default_rng(3).normal(size=(5, 4)).astype(np.float32)}
    np.savez(tmp_path / "x.npz", **feeds)
    done = narrow("build", tmp_path / "dynamic.onnx", "--calib", tmp_path / "x.npz", "--out", tmp_path / "out", code=1)
    assert "MatMulInteger 'product'" in done.stderr and "run time" in done.stderr
    ours = narrow.outputs(tmp_path / "dynamic.onnx", feeds, tmp_path)["y"]
    theirs = onnx_runtime(tmp_path / "dynamic.onnx", feeds)["y"]
    # The sum and the zero point's term are rounded to FP32 apart: a few units in the last place of either.
    assert np.abs(ours - theirs).max() <= 8 * 2.0**-24 * np.abs(feeds["x"]).sum(1).max() * 4
