"""w4a8: int8 arithmetic over weights in 4 bits; the methods that learn how to round them."""
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from conftest import DIGITS, MODEL, digits, onnx_runtime

CALIB, EVAL = DIGITS / "calib.toml", DIGITS / "eval.toml"


@pytest.fixture(scope="module")
def built(narrow, tmp_path_factory):
    out = tmp_path_factory.mktemp("w4a8") / "out"
    narrow("build", MODEL, "--calib", CALIB, "--eval", EVAL, "--out", out, "--seconds", "0.05", "--precisions", "fp32,int8,w4a8")
    return out


class Layer:
    """Constant weights of one Conv, MatMul or Gemm as an .onnx file stores them."""

    def __init__(self, node, made, tensors):
        dequantize = made[node.input[1]]
        attributes = {a.name: a.i for a in dequantize.attribute}
        self.codes = tensors[dequantize.input[0]]
        self.block = attributes.get("block_size", 0)
        scale = made.get(dequantize.input[1])
        self.step = tensors[scale.input[0]] if scale else None
        axis = next(a.i for a in scale.attribute if a.name == "axis") if scale else attributes["axis"]
        self.channels = self.codes.dims[axis]
        self.summed = int(np.prod(self.codes.dims)) // self.channels
        if scale:
            self.axis = attributes["axis"]
            self.zero = tensors[dequantize.input[2]]

    def bits(self):
        codes = int(np.prod(self.codes.dims))
        groups = int(np.prod(self.step.dims)) if self.step else 0
        return codes * (8 if self.codes.data_type == TensorProto.INT8 else 4) + 8 * groups + 32 * self.channels

    def bytes(self):
        """step * (code - zero point), by the definition of blocked DequantizeLinear."""
        codes, step, zero = (numpy_helper.to_array(t).astype(np.int64) for t in (self.codes, self.step, self.zero))
        spread = [np.repeat(t, self.block, self.axis).take(range(codes.shape[self.axis]), self.axis) for t in (step, zero)]
        return spread[0] * (codes - spread[1])


def weights_in(path):
    model = onnx.load(path)
    tensors = {t.name: t for t in model.graph.initializer}
    made = {n.output[0]: n for n in model.graph.node}
    return [Layer(n, made, tensors) for n in model.graph.node if n.op_type in ("Conv", "MatMul", "Gemm")]


def test_weights_have_four_bits_where_enough_are_summed(built):
    layers = weights_in(built / "w4a8.onnx")
    for layer in layers:
        assert (layer.codes.data_type == TensorProto.INT8) == (layer.summed < 32)
    stepped = [layer for layer in layers if layer.step]
    assert stepped
    for layer in stepped:
        assert layer.codes.data_type == layer.step.data_type == layer.zero.data_type == TensorProto.UINT4
        assert np.abs(layer.bytes()).max() <= 127 and np.abs(layer.bytes()).max() > 64
    builds = {b["name"]: b for b in json.loads((built / "manifest.json").read_text())["builds"]}
    assert builds["w4a8"]["bytes"] < builds["int8"]["bytes"] < builds["fp32"]["bytes"]
    assert builds["w4a8"]["recipe"]["stored_weights"]["bits"] == sum(layer.bits() for layer in layers)


def test_without_groups_a_channel_has_one_scale(narrow, tmp_path):
    narrow("build", MODEL, "--calib", CALIB, "--eval", EVAL, "--out", tmp_path, "--seconds", "0.05", "--precisions", "fp32,w4a8",
           "--group-size", "0")
    layers = weights_in(tmp_path / "w4a8.onnx")
    few = [numpy_helper.to_array(layer.codes).astype(np.int64) for layer in layers if layer.summed >= 32]
    assert not any(layer.step for layer in layers)
    assert few and min(c.min() for c in few) >= -8 and max(c.max() for c in few) <= 7
    builds = {b["name"]: b for b in json.loads((tmp_path / "manifest.json").read_text())["builds"]}
    assert builds["w4a8"]["recipe"]["stored_weights"]["bits"] == sum(layer.bits() for layer in layers)


def test_the_engine_computes_in_integers(narrow, built):
    formats = {}
    for name in ("int8", "w4a8"):
        steps = narrow("explain", built / f"{name}.narrow", "--json").json["steps"]
        formats[name] = [(s["op"], s["kernel"]) for s in steps]
    assert formats["w4a8"] == formats["int8"]


def test_peers_answer_alike(narrow, built, tmp_path):
    feeds, _ = digits("eval")
    ours = narrow.outputs(built / "w4a8.narrow", feeds, tmp_path)["logits"]
    theirs = onnx_runtime(built / "w4a8.onnx", feeds)["logits"]
    assert np.mean(ours.argmax(1) == theirs.argmax(1)) >= 0.99
    onnx.checker.check_model(onnx.load(built / "w4a8.onnx"), full_check=True)


def test_isas_are_equal(narrow, built, tmp_path):
    feeds, _ = digits("eval")
    answers = [narrow.outputs(built / "w4a8.narrow", feeds, tmp_path, environment={"NARROW_MAX_ISA": isa})["logits"]
               for isa in ("plain", "avx2", "avx2_vnni", "avx512", "avx512_vnni", "avx512_bf16", "amx")]
    for other in answers[1:]:
        # Integers are equal; the last layer leaves as floats, scaled in an order of its own: a few units in the last place.
        assert np.abs(other - answers[0]).max() <= 1e-5 * np.abs(answers[0]).max()


@pytest.mark.parametrize("method", ["adaround(iterations=60)", "brecq(iterations=60,layers=3)", "seqmse"])
def test_learned_methods_beat_nearest_codes(narrow, tmp_path, method):
    """With one scale a channel, where there is most to gain."""
    sqnr = {}
    for name, recipe in (("nearest", "nearest"), ("learned", f"nearest, {method}")):
        done = narrow("build", MODEL, "--calib", CALIB, "--eval", EVAL, "--out", tmp_path / name, "--seconds", "0.05",
                      "--precisions", "fp32,w4a8", "--group-size", "0", "--recipe", recipe, "--json").json
        build = next(b for b in done["builds"] if b["name"] == "w4a8")
        sqnr[name] = build["figures"]["sqnr"]["value"]
    assert any(note.startswith(method.split("(")[0] + ": ") for note in build["findings"])
    assert sqnr["learned"] > sqnr["nearest"]


def test_what_it_cannot_do_is_refused(narrow, tmp_path):
    done = narrow("quantize", MODEL, "--precision", "w4a8", "--out", tmp_path / "o.onnx", code=2)
    assert "--calibration" in done.stderr
    narrow("calibrate", MODEL, "--data", CALIB, "--out", tmp_path / "c.json")
    done = narrow("quantize", MODEL, "--precision", "w4a8", "--calibration", tmp_path / "c.json", "--target", "tensorrt", "--out",
                  tmp_path / "o.onnx", code=1)
    assert "w4a8" in done.stderr and not (tmp_path / "o.onnx").exists()
    done = narrow("quantize", MODEL, "--precision", "int8", "--calibration", tmp_path / "c.json", "--recipe", "prune, adaround",
                  "--out", tmp_path / "o.onnx", code=2)
    assert "prune" in done.stderr
