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


def weights_in(path):
    """Codes of every layer with constant weights: (initializer, how many of them a result sums, result channels)."""
    model = onnx.load(path)
    tensors = {t.name: t for t in model.graph.initializer}
    made = {n.output[0]: n for n in model.graph.node}
    found = []
    for node in model.graph.node:
        if node.op_type not in ("Conv", "MatMul", "Gemm"):
            continue
        dequantize = made[node.input[1]]
        axis = next(a.i for a in dequantize.attribute if a.name == "axis")
        codes = tensors[dequantize.input[0]]
        found.append((codes, int(np.prod(codes.dims)) // codes.dims[axis], codes.dims[axis]))
    return found


def test_weights_have_four_bits_where_enough_are_summed(built):
    weights = weights_in(built / "w4a8.onnx")
    for codes, summed, _ in weights:
        assert codes.data_type == (TensorProto.INT4 if summed >= 32 else TensorProto.INT8)
    few = [numpy_helper.to_array(c).astype(np.int64) for c, summed, _ in weights if summed >= 32]
    assert few and min(c.min() for c in few) >= -8 and max(c.max() for c in few) <= 7
    builds = {b["name"]: b for b in json.loads((built / "manifest.json").read_text())["builds"]}
    assert builds["w4a8"]["bytes"] < builds["int8"]["bytes"] < builds["fp32"]["bytes"]
    scales = sum(4 * channels for _, _, channels in weights)
    bits = sum(int(np.prod(c.dims)) * (4 if c.data_type == TensorProto.INT4 else 8) for c, _, _ in weights) + 8 * scales
    assert builds["w4a8"]["recipe"]["stored_weights"]["bits"] == bits


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
               for isa in ("plain", "avx2", "avx512", "avx512_vnni", "amx")]
    for other in answers[1:]:
        # Integers are equal; the last layer leaves as floats, scaled in an order of its own: a few units in the last place.
        assert np.abs(other - answers[0]).max() <= 1e-5 * np.abs(answers[0]).max()


@pytest.mark.parametrize("method", ["adaround(iterations=60)", "brecq(iterations=60,layers=3)", "seqmse"])
def test_learned_methods_beat_nearest_codes(narrow, tmp_path, method):
    sqnr = {}
    for name, recipe in (("nearest", "nearest"), ("learned", f"nearest, {method}")):
        done = narrow("build", MODEL, "--calib", CALIB, "--eval", EVAL, "--out", tmp_path / name, "--seconds", "0.05",
                      "--precisions", "fp32,w4a8", "--recipe", recipe, "--json").json
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
