"""Models that come with Q/DQ nodes as three training tools export them: their answers, and the list of what stays in FP32.

Scales are powers of two and weights, biases and data multiples of them, so FP32 sums are exact in any order: answers are equal, not close.
"""
import json

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from conftest import DIGITS


class Net:
    """A graph that grows by a node a line, as exporters write it."""

    def __init__(self, name, inputs, seed, opset=17):
        self.name, self.opset = name, opset
        self.inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()]
        self.nodes, self.constants, self.random = [], [], np.random.default_rng(seed)

    def constant(self, name, values, dtype=np.float32):
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def node(self, op, *inputs, name, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [name + "_out"], name=name, **attributes))
        return name + "_out"

    def pair(self, value, name, scale, zero=0, dtype=np.int8, axis=None):
        """QuantizeLinear `name`_q and DequantizeLinear `name`_dq."""
        attributes = {} if axis is None else {"axis": axis}
        parameters = self.constant(name + "_scale", scale), self.constant(name + "_zero", np.broadcast_to(zero, np.shape(scale)), dtype)
        codes = self.node("QuantizeLinear", value, *parameters, name=name + "_q", **attributes)
        return self.node("DequantizeLinear", codes, *parameters, name=name + "_dq", **attributes)

    def stored(self, name, codes, scale, zero=0, dtype=np.int8, axis=None):
        """DequantizeLinear `name`_dq of a constant."""
        attributes = {} if axis is None else {"axis": axis}
        return self.node("DequantizeLinear", self.constant(name + "_codes", codes, dtype), self.constant(name + "_scale", scale),
                         self.constant(name + "_zero", np.broadcast_to(zero, np.shape(scale)), dtype), name=name + "_dq", **attributes)

    def codes(self, *shape, low=-20, high=20):
        return self.random.integers(low, high + 1, shape)

    def save(self, folder, outputs):
        results = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs]
        graph = helper.make_graph(self.nodes, self.name, self.inputs, results, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)
        path = folder / f"{self.name}.onnx"
        onnx.save(model, path)
        return path


def torch_ao(folder):
    """u8 data with zero points, s8 weights a scale per channel, biases in s32 behind a DequantizeLinear or float; a Q/DQ for each
    reader; the classifier was left in FP32."""
    net = Net("torch_ao", {"x": [2, 3, 8, 8]}, seed=1)
    x = net.pair("x", "quant", 2.0**-4, 128, np.uint8)
    per_channel = 2.0 ** -net.codes(8, low=5, high=7).astype(float)
    w = net.stored("conv1_weight", net.codes(8, 3, 3, 3), per_channel, axis=0)
    b = net.stored("conv1_bias", net.codes(8), per_channel * 2.0**-4, dtype=np.int32, axis=0)
    y = net.node("Relu", net.node("Conv", x, w, b, name="conv1", pads=[1, 1, 1, 1]), name="relu1")
    y = net.pair(y, "act1", 2.0**-4, 0, np.uint8)
    w = net.stored("conv2_weight", net.codes(8, 8, 1, 1), per_channel, axis=0)
    y2 = net.node("Conv", y, w, net.constant("conv2_bias", net.codes(8) * 2.0**-9), name="conv2")
    y2 = net.pair(y2, "act2", 2.0**-4, 120, np.uint8)
    y = net.pair(net.node("Add", y, y2, name="add"), "act3", 2.0**-3, 100, np.uint8)
    y = net.node("GlobalAveragePool", net.node("MaxPool", y, name="pool", kernel_shape=[2, 2], strides=[2, 2]), name="gap")
    y = net.pair(y, "act4", 2.0**-5, 128, np.uint8)
    y = net.node("Flatten", y, name="flat")
    w = net.stored("fc1_weight", net.codes(16, 8), 2.0**-6 * np.ones(16), axis=0)
    y = net.pair(net.node("Gemm", y, w, name="fc1", transB=1), "act5", 2.0**-6, 128, np.uint8)
    net.node("Gemm", y, net.constant("fc2_weight", net.codes(10, 16) * 2.0**-6), name="fc2", transB=1)
    return net.save(folder, ["fc2_out"]), {("act5_dq", "fc2", "its weights are not quantized")}


def tf_mot(folder):
    """Images channels last with Transposes between, s8 around 0 with one scale, Clip(0, 6) between layer and Q, biases float; a mean over
    axes, and a layer whose weights have a zero point."""
    net = Net("tf_mot", {"x": [2, 8, 8, 4]}, seed=2)
    net.constant("zero", 0.0), net.constant("six", 6.0)
    y = net.pair("x", "input", 2.0**-4)
    y = net.node("Transpose", y, name="to_nchw", perm=[0, 3, 1, 2])
    w = net.pair(net.constant("w1", net.codes(3, 3, 4, 8) * 2.0**-6), "kernel1", 2.0**-6)
    w = net.node("Transpose", w, name="w1_oihw", perm=[3, 2, 0, 1])
    y = net.node("Conv", y, w, net.constant("b1", net.codes(8) * 2.0**-8), name="conv1", pads=[1, 1, 1, 1])
    y = net.pair(net.node("Clip", y, "zero", "six", name="relu6_1"), "act1", 2.0**-4)
    w = net.pair(net.constant("w2", net.codes(8, 1, 3, 3) * 2.0**-5), "kernel2", 2.0**-5)
    y = net.node("Conv", y, w, net.constant("b2", net.codes(8) * 2.0**-7), name="depthwise", pads=[1, 1, 1, 1], group=8)
    y = net.pair(net.node("Clip", y, "zero", "six", name="relu6_2"), "act2", 2.0**-4)
    w = net.stored("kernel3", net.codes(8, 8, 1, 1, low=90, high=160), 2.0**-6, 120, np.uint8)
    y = net.pair(net.node("Conv", y, w, name="conv3"), "act3", 2.0**-3)
    y = net.node("ReduceMean", net.node("Transpose", y, name="to_nhwc", perm=[0, 2, 3, 1]), name="mean", axes=[1, 2], keepdims=0)
    y = net.pair(y, "act4", 2.0**-6)
    w = net.pair(net.constant("w4", net.codes(8, 6) * 2.0**-6), "kernel4", 2.0**-6)
    y = net.node("Add", net.node("MatMul", y, w, name="dense"), net.constant("b4", net.codes(6) * 2.0**-10), name="bias_add")
    net.pair(y, "logits", 2.0**-6)
    zero = "zero point 120, integer products take 128"
    return net.save(folder, ["logits_dq_out"]), {("act2_dq", "conv3", f"its weights 'kernel3_dq': {zero}"),
                                                 ("kernel3_dq", "conv3", f"its weights 'kernel3_dq': {zero}"),
                                                 ("act3_dq", "mean", "ReduceMean has no integer form")}


def nvidia_tao(folder):
    """s8 around 0 everywhere, FP32 weights behind a Q of a scale per channel (0 for a channel that is all zeros), Q/DQ on residual inputs
    and before pooling; the first convolution reads the image as it is."""
    net = Net("nvidia_tao", {"x": [2, 3, 8, 8]}, seed=3)

    def weights(name, *shape):
        codes, scale = net.codes(*shape), 2.0 ** -net.codes(shape[0], low=5, high=7).astype(float)
        codes[1], scale[1] = 0, 0
        values = codes * np.where(scale == 0, 1, scale).reshape(-1, *[1] * (len(shape) - 1))
        return net.pair(net.constant(name, values), name + "_quantizer", scale, axis=0)

    y = net.node("Conv", "x", weights("stem", 8, 3, 3, 3), net.constant("stem_bias", net.codes(8) * 2.0**-6), name="stem_conv",
                 pads=[1, 1, 1, 1])
    y = net.node("Relu", y, name="stem_relu")
    body = net.pair(y, "block_input", 2.0**-4)
    short = net.pair(y, "residual", 2.0**-3)
    body = net.node("Relu", net.node("Conv", body, weights("conv1", 8, 8, 3, 3), net.constant("conv1_bias", net.codes(8) * 2.0**-9),
                                     name="conv1_conv", pads=[1, 1, 1, 1]), name="relu1")
    body = net.node("Conv", net.pair(body, "conv2_input", 2.0**-3), weights("conv2", 8, 8, 3, 3), name="conv2_conv", pads=[1, 1, 1, 1])
    y = net.node("Relu", net.node("Add", body, short, name="add"), name="relu2")
    y = net.node("GlobalAveragePool", net.pair(y, "pool_input", 2.0**-2), name="pool")
    y = net.pair(net.node("Flatten", y, name="flat"), "fc_input", 2.0**-4)
    net.node("Gemm", y, weights("fc", 6, 8), net.constant("fc_bias", net.codes(6) * 2.0**-9), name="fc_gemm", transB=1)
    return net.save(folder, ["fc_gemm_out"]), {("stem_quantizer_dq", "stem_conv", "its data are not quantized")}


def unoptimized(path, feeds):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


def listed(pairs):
    return {(p["dequantize"], p["reader"], p["reason"]) for p in pairs["float"]}


@pytest.mark.parametrize("make", [torch_ao, tf_mot, nvidia_tao], ids=lambda make: make.__name__)
def test_exporter_style(narrow, tmp_path, make):
    path, expected = make(tmp_path)
    shape = [d.dim_value for d in onnx.load(path).graph.input[0].type.tensor_type.shape.dim]
    feeds = {"x": (np.random.default_rng(7).integers(-100, 100, shape) * 2.0**-4).astype(np.float32)}
    theirs = unoptimized(path, feeds)
    assert theirs.std() > 0
    narrow("quantize", path, "--precision", "int8", "--out", tmp_path / "int8.narrow")
    for file in (path, tmp_path / "int8.narrow"):
        [ours] = narrow.outputs(file, feeds, tmp_path).values()
        np.testing.assert_array_equal(ours, theirs)

    said = narrow("inspect", path, "--json")
    pairs = said.json["given_pairs"]
    assert listed(pairs) == expected
    total = sum(node.op_type == "DequantizeLinear" for node in onnx.load(path).graph.node)
    assert (pairs["total"], pairs["staying"]) == (total, len({name for name, *_ in expected}))
    assert f"{total} Q/DQ pairs, {pairs['staying']} stay in FP32" in said.stdout + said.stderr


def test_parameters_without_integer_form(narrow, tmp_path):
    """Codes of 16 bits, a scale per channel of data, scales along the wrong axis, scales of blocks, a scale that is computed."""
    net = Net("odd", {"x": [4, 8], "s": [1]}, seed=4, opset=21)
    good = net.pair("x", "good", 2.0**-4)
    w = lambda name, **kind: net.stored(name, net.codes(8, 8), **{"scale": 2.0**-6, **kind})
    outs = [net.node("MatMul", net.pair("x", "wide", 2.0**-8, dtype=np.int16), w("w0"), name="m0"),
            net.node("MatMul", net.pair("x", "split", 2.0**-4 * np.ones(8), axis=1), w("w1"), name="m1"),
            net.node("MatMul", good, w("w2", scale=2.0**-6 * np.ones(8), axis=0), name="m2"),
            net.node("MatMul", good, w("w4"), name="m4")]
    blocks = net.node("DequantizeLinear", net.constant("w3_codes", net.codes(8, 8), np.int8), net.constant("w3_scale", np.full((2, 8), 2.0**-6)),
                      name="w3_dq", axis=0, block_size=4)
    outs.append(net.node("MatMul", good, blocks, name="m3"))
    scale = net.node("Reshape", net.node("Abs", "s", name="abs"), net.constant("scalar", [], np.int64), name="scale")
    zero = net.constant("run_zero", 0, np.int8)
    codes = net.node("QuantizeLinear", "x", scale, zero, name="run_q")
    outs.append(net.node("MatMul", net.node("DequantizeLinear", codes, scale, zero, name="run_dq"), w("w5"), name="m5"))
    path = net.save(tmp_path, outs)
    pairs = narrow("inspect", path, "--json").json["given_pairs"]
    found = {(name, reader): reason for name, reader, reason in listed(pairs)}
    words = {"m0": "its codes are s16", "m1": "one scale per channel", "m2": "scales along axis 0", "m3": "blocks", "m5": "run time"}
    data = {"m0": "wide_dq", "m1": "split_dq", "m2": "good_dq", "m3": "good_dq", "m5": "run_dq"}
    assert set(found) == {(data[m], m) for m in words} | {(f"w{m[1]}_dq", m) for m in words}
    for (_, reader), reason in found.items():
        assert words[reader] in reason


def test_list_in_manifest_and_notes(narrow, tmp_path):
    path, expected = nvidia_tao(tmp_path)
    data = {"x": (np.random.default_rng(8).integers(-100, 100, [8, 3, 8, 8]) * 2.0**-4).astype(np.float32)}
    np.savez(tmp_path / "data.npz", **data)
    (tmp_path / "data.toml").write_text('kind = "tensors"\nfiles = "data.npz"\n')
    out = tmp_path / "out"
    done = narrow("build", path, "--calib", tmp_path / "data.toml", "--out", out, "--precisions", "fp32,int8", "--seconds", "0.1")
    assert "1 of 9 Q/DQ pairs stay in FP32: 'stem_quantizer_dq' (Conv 'stem_conv': its data are not quantized)" in done.stderr + done.stdout
    assert listed(json.loads((out / "manifest.json").read_text())["given_pairs"]) == expected


def test_unquantized_model_has_no_pairs(narrow):
    said = narrow("inspect", DIGITS / "digits.onnx", "--json")
    assert "given_pairs" not in said.json and "Q/DQ" not in said.stdout + said.stderr
