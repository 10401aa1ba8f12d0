"""`narrow debug`: the culprit and the remedy on models made for it, and poisoned models named beside healthy twins."""
import shlex
import tomllib

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from conftest import DIGITS, MODEL

RNG = np.random.default_rng(5)


def save(folder, nodes, inputs, outputs, constants):
    """A model file; inputs and outputs as {name: shape}."""
    def values(shapes):
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "g", values(inputs), values(outputs), tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def data(folder, **arrays):
    np.savez(folder / "data.npz", **{name: array.astype(np.float32) for name, array in arrays.items()})
    return folder / "data.npz"


def weights(*shape, size=0.3):
    return (RNG.standard_normal(shape) * size).astype(np.float32)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), name=outputs.split()[0] + "_node", **attributes)


def debug(narrow, model, samples, *options, gate="sqnr>=1dB", code=0):
    return narrow("debug", model, "--calib", samples, "--eval", samples, "--gate", gate, "--json", "--layer-samples", 2, *options,
                  code=code).json


def kinds(answer):
    return {finding["kind"]: finding for finding in answer["findings"]}


def one_bad_layer(folder):
    """Three products, and data whose first channel is an outlier that leaves the others a code or two. Between layers equalize would mend
    that; the model's input is as it is."""
    first = weights(16, 16)
    first[0, :] *= 1e-4
    x = RNG.standard_normal((64, 16))
    x[:, 0] *= 3000
    nodes = [node("MatMul", "x w1", "a"), node("MatMul", "a w2", "b"), node("MatMul", "b w3", "y")]
    model = save(folder, nodes, {"x": ["N", 16]}, {"y": ["N", 16]}, {"w1": first, "w2": weights(16, 16), "w3": weights(16, 16)})
    return model, data(folder, x=x)


def test_the_build_holds(narrow):
    answer = debug(narrow, MODEL, DIGITS / "calib.toml", gate="sqnr>=20dB")
    assert answer["holds"] is True and "remedy" not in answer and len(answer["trials"]) == 1
    assert {layer["node"] for layer in answer["layers"]} >= {"conv_1", "conv_6"}


def test_the_remedy_is_one_that_build_confirms(narrow, tmp_path):
    model, samples = one_bad_layer(tmp_path)
    out = tmp_path / "narrow.toml"
    answer = debug(narrow, model, samples, "--out", out, gate="sqnr>=25dB")
    assert answer["holds"] is False
    remedy, blame = answer["remedy"], answer["blame"]
    assert blame["kind"] == "isolated" and blame["worst"][0]["node"] == "a_node"
    assert answer["culprits"]["layers"] == ["a_node"] and answer["culprits"]["minimal"] is True
    assert [name.split("=")[0] for name in remedy["wide"]] == ["a_node"]
    assert remedy["gates"][0]["verdict"] == "passed"
    # the command as printed, and the file
    command = shlex.split(remedy["command"])
    assert command[:2] == ["narrow", "build"] and command[-2:] == ["--out", "out"]
    built = narrow(*command[1:-1], tmp_path / "out", "--seconds", "0.05", "--tactics", "pinned", "--json").json
    figures = {build["name"]: build["figures"]["sqnr"]["value"] for build in built["builds"]}
    assert figures["int8"] == pytest.approx(remedy["sqnr_db"], abs=1e-6)
    assert tomllib.loads(out.read_text())["wide"] == remedy["wide"]
    narrow("build", "--config", out, "--out", tmp_path / "again", "--seconds", "0.05", "--tactics", "pinned")
    assert (tmp_path / "again" / "int8.onnx").read_bytes() == (tmp_path / "out" / "int8.onnx").read_bytes()


def test_no_remedy_and_no_time(narrow, tmp_path):
    model, samples = one_bad_layer(tmp_path)
    answer = debug(narrow, model, samples, "--precision", "int2", "--recipe", "nearest", "--budget", 0, gate="sqnr>=199dB", code=3)
    assert answer["out_of_time"] is True and "remedy" not in answer and len(answer["trials"]) == 1


def test_gates_about_answers_are_needed(narrow):
    done = narrow("debug", MODEL, "--calib", DIGITS / "calib.toml", "--eval", DIGITS / "eval.toml", "--gate", "p99<=10ms", code=2)
    assert "a gate about answers" in done.stderr


def test_wide_layers_of_a_build(narrow, tmp_path):
    base = ["build", MODEL, "--calib", DIGITS / "calib.toml", "--precisions", "fp32,int8,int4", "--seconds", "0.05", "--out"]
    built = narrow(*base, tmp_path / "out", "--wide", "conv_4=bf16", "--wide", "conv_5", "--json").json
    for name in ("int8", "int4"):
        nodes = next(build for build in built["builds"] if build["name"] == name)["recipe"]["nodes"]
        assert sorted(n["format"] for n in nodes.values() if n.get("reason") == "asked for with --wide") == ["bf16", "fp32"]
    done = narrow(*base, tmp_path / "none", "--wide", "conv_44", code=2)
    assert "nearest: 'conv_4'" in done.stderr and not (tmp_path / "none").exists()
    assert "fp32, fp16, bf16, int8-dynamic" in narrow(*base, tmp_path / "none", "--wide", "conv_4=int8", code=2).stderr


def detector(folder, shared):
    """Boxes in pixels and scores below 1; where they share one Concat a last convolution reads both."""
    nodes = [node("Conv", "x w1", "f", pads=[1, 1, 1, 1], kernel_shape=[3, 3]), node("Relu", "f", "r"),
             node("Conv", "r wb bb", "boxes"), node("Conv", "r ws", "logits"), node("Sigmoid", "logits", "scores")]
    constants = {"w1": weights(8, 3, 3, 3), "wb": weights(4, 8, 1, 1, size=100), "bb": np.full(4, 300, np.float32),
                 "ws": weights(4, 8, 1, 1)}
    outputs = {"boxes_out": ["N", 4, 8, 8], "scores_out": ["N", 4, 8, 8]}
    if shared:
        nodes += [node("Concat", "boxes scores", "both", axis=1), node("Conv", "both wo", "out")]
        constants["wo"], outputs = weights(4, 8, 1, 1), {"out": ["N", 4, 8, 8]}
    else:
        nodes += [node("Conv", "boxes wb2", "boxes_out"), node("Conv", "scores ws2", "scores_out")]
        constants["wb2"], constants["ws2"] = weights(4, 4, 1, 1), weights(4, 4, 1, 1)
    return save(folder, nodes, {"x": ["N", 3, 8, 8]}, outputs, constants)


@pytest.mark.parametrize("poisoned", [True, False])
def test_boxes_and_scores_in_one_concat(narrow, tmp_path, poisoned):
    model, samples = detector(tmp_path, poisoned), data(tmp_path, x=RNG.standard_normal((32, 3, 8, 8)))
    found = kinds(debug(narrow, model, samples))
    assert ("shared_concat" in found) is poisoned
    if poisoned:
        assert found["shared_concat"]["node"] == "both_node" and "'scores'" in found["shared_concat"]["text"]


def named_by(narrow, model, samples, folder, precision="int8"):
    """What build and verify say of the same model."""
    built = narrow("build", model, "--calib", samples, "--eval", samples, "--out", folder / "out", "--precisions", f"fp32,{precision}",
                   "--seconds", "0.02", "--tactics", "pinned", "--json").json
    verdict = narrow("verify", folder / "out" / f"{precision}.onnx", "--reference", model, "--data", samples, "--json").json
    return (" ".join(next(b for b in built["builds"] if b["name"] == precision)["findings"]), " ".join(verdict["findings"]))


def test_build_and_verify_name_them_too(narrow, tmp_path):
    for poisoned in (True, False):
        folder = tmp_path / f"detector_{poisoned}"
        folder.mkdir()
        said, verified = named_by(narrow, detector(folder, poisoned), data(folder, x=RNG.standard_normal((32, 3, 8, 8))), folder)
        assert ("both_node" in said and "mixes ranges" in said) is poisoned
        assert ("shared_concat: Concat 'both_node'" in verified) is poisoned
        folder = tmp_path / f"mask_{poisoned}"
        folder.mkdir()
        mask = np.where(RNG.random((64, 16)) < 0.2, -1e9 if poisoned else -3, 0)
        said, verified = named_by(narrow, masked(folder), data(folder, x=RNG.standard_normal((64, 16)), mask=mask), folder)
        assert ("a mask decides the range of 'm'" in said) is poisoned
        assert ("mask: 'm'" in verified) is poisoned


@pytest.mark.parametrize("code", [2**31 - 1, 1000])
def test_verify_names_a_bias_another_tool_saturated(narrow, tmp_path, code):
    """A Q/DQ file whose bias is cut at the end of int32."""
    scale = 0.01
    model = save(tmp_path, [node("Gemm", "x w b", "y")], {"x": ["N", 4]}, {"y": ["N", 2]},
                 {"w": weights(4, 2), "b": np.array([0.1, 0.2], np.float32)})
    model.rename(tmp_path / "fp32.onnx")
    nodes = [node("QuantizeLinear", "x s z", "xq"), node("DequantizeLinear", "xq s z", "xd"), node("DequantizeLinear", "wq sw", "wd"),
             node("DequantizeLinear", "bq sb", "bd"), node("Gemm", "xd wd bd", "y")]
    quantized = save(tmp_path, nodes, {"x": ["N", 4]}, {"y": ["N", 2]},
                     {"s": np.float32(scale), "z": np.uint8(128), "wq": np.full((4, 2), 100, np.int8), "sw": np.float32(scale),
                      "bq": np.array([code, 5], np.int32), "sb": np.float32(scale * scale)})
    done = narrow("verify", quantized, "--reference", tmp_path / "fp32.onnx", "--data", data(tmp_path, x=RNG.standard_normal((8, 4))), "--json")
    assert ("bias_overflow: " in " ".join(done.json["findings"])) is (code > 1000)


def rms_norm(folder, size):
    """x / sqrt(mean(x^2)) written out, then a product: the squares of large x are beyond 65504."""
    nodes = [node("MatMul", "x w1", "a"), node("Mul", "a a", "squares"), node("ReduceMean", "squares", "mean", axes=[-1]),
             node("Sqrt", "mean", "root"), node("Div", "a root", "normed"), node("MatMul", "normed w2", "y")]
    return save(folder, nodes, {"x": ["N", 16]}, {"y": ["N", 8]}, {"w1": weights(16, 16, size=size), "w2": weights(16, 8)})


@pytest.mark.parametrize("poisoned", [True, False])
def test_fp16_overflow_in_a_norm(narrow, tmp_path, poisoned):
    model = rms_norm(tmp_path, 200 if poisoned else 0.3)
    samples = data(tmp_path, x=RNG.standard_normal((64, 16)))
    answer = debug(narrow, model, samples, "--precision", "fp16")
    assert ("fp16_overflow" in kinds(answer)) is poisoned
    if poisoned:
        text = " ".join(f["text"] for f in answer["findings"])
        assert "squares_node" in text and "'squares' reached" in text and "65504" in text


def attention(folder, size):
    nodes = [node("MatMul", "x wq", "q"), node("MatMul", "x wk", "k"), node("Transpose", "k", "kt", perm=[0, 2, 1]),
             node("MatMul", "q kt", "logits"), node("Softmax", "logits", "p", axis=-1), node("MatMul", "x wv", "v"),
             node("MatMul", "p v", "o"), node("MatMul", "o wo", "y")]
    constants = {name: weights(8, 8, size=size if name in ("wq", "wk") else 0.3) for name in ("wq", "wk", "wv", "wo")}
    return save(folder, nodes, {"x": ["N", 6, 8]}, {"y": ["N", 6, 8]}, constants)


@pytest.mark.parametrize("poisoned", [True, False])
def test_fp16_overflow_in_attention(narrow, tmp_path, poisoned):
    model = attention(tmp_path, 100 if poisoned else 0.3)
    samples = data(tmp_path, x=RNG.standard_normal((64, 6, 8)))
    answer = debug(narrow, model, samples, "--precision", "fp16")
    assert ("fp16_overflow" in kinds(answer)) is poisoned
    if poisoned:
        assert "logits_node" in {f["node"] for f in answer["findings"]}


@pytest.mark.parametrize("poisoned", [True, False])
def test_int32_bias_overflow(narrow, tmp_path, poisoned):
    bias = np.zeros(8, np.float32)
    bias[3] = 1e6 if poisoned else 0.5
    nodes = [node("Conv", "x w1 b1", "a"), node("Relu", "a", "r"), node("Conv", "r w2", "y")]
    model = save(tmp_path, nodes, {"x": ["N", 4, 8, 8]}, {"y": ["N", 2, 8, 8]},
                 {"w1": weights(8, 4, 1, 1, size=1e-3), "b1": bias, "w2": weights(2, 8, 1, 1)})
    samples = data(tmp_path, x=RNG.standard_normal((64, 4, 8, 8)) * 1e-2)
    found = kinds(debug(narrow, model, samples, "--budget", 0, gate="sqnr>=-100dB"))
    assert ("bias_overflow" in found) is poisoned
    if poisoned:
        assert found["bias_overflow"]["node"] == "a_node" and "1 of 8 channels" in found["bias_overflow"]["text"]


def masked(folder):
    """A mask, an input, added between two products."""
    nodes = [node("MatMul", "x w1", "a"), node("Add", "a mask", "m"), node("MatMul", "m w2", "y")]
    return save(folder, nodes, {"x": ["N", 16], "mask": ["N", 16]}, {"y": ["N", 8]}, {"w1": weights(16, 16), "w2": weights(16, 8)})


@pytest.mark.parametrize("value", [-1e9, -3])
def test_masks_in_int8(narrow, tmp_path, value):
    model = masked(tmp_path)
    mask = np.where(RNG.random((64, 16)) < 0.2, value, 0)
    samples = data(tmp_path, x=RNG.standard_normal((64, 16)), mask=mask)
    found = kinds(debug(narrow, model, samples, "--budget", 0, gate="sqnr>=-100dB"))
    assert ("mask" in found) is (value == -1e9)
    if value == -1e9:
        assert found["mask"]["node"] == "m_node" and "input 'mask'" in found["mask"]["text"]


@pytest.mark.parametrize("value", [-1e9, -np.inf, -1e4])
def test_masks_in_fp16(narrow, tmp_path, value):
    nodes = [node("MatMul", "x wq", "q"), node("MatMul", "x wk", "k"), node("Transpose", "k", "kt", perm=[0, 2, 1]),
             node("MatMul", "q kt", "logits"), node("Add", "logits mask", "masked"), node("Softmax", "masked", "p", axis=-1),
             node("MatMul", "p x", "o"), node("MatMul", "o wo", "y")]
    constants = {name: weights(8, 8) for name in ("wq", "wk", "wo")}
    constants["mask"] = np.triu(np.full((6, 6), value, np.float32), 1)
    model = save(tmp_path, nodes, {"x": ["N", 6, 8]}, {"y": ["N", 6, 8]}, constants)
    samples = data(tmp_path, x=RNG.standard_normal((64, 6, 8)))
    found = kinds(debug(narrow, model, samples, "--precision", "fp16"))
    assert ("mask" in found) is (value != -1e4)
    if value != -1e4:
        assert found["mask"]["node"] == "masked_node" and "constant 'mask'" in found["mask"]["text"]
