"""Pruned builds: the pattern in the files, what the report says of it, sizes that add up."""
import json

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from conftest import DIGITS, MODEL, digits, onnx_runtime

CALIB, EVAL = DIGITS / "calib.toml", DIGITS / "eval.toml"
PRECISIONS = ["fp16", "int8", "int8-dynamic", "int4"]
# Layers of 2048 weights and more that do not read the image and are not depthwise: [out, in, h, w].
PRUNED = {(64, 64, 1, 1), (128, 64, 3, 3), (128, 128, 1, 1)}


def build(narrow, out, recipe):
    narrow("build", MODEL, "--calib", CALIB, "--eval", EVAL, "--out", out, "--seconds", "0.05", "--tactics", "pinned",
           "--precisions", ",".join(["fp32", *PRECISIONS]), "--group-size", "16", "--recipe", recipe)
    return {b["name"]: b for b in json.loads((out / "manifest.json").read_text())["builds"]}


@pytest.fixture(scope="module")
def pruned(narrow, tmp_path_factory):
    """folder, builds by name: two of each four weights zero, rounded by gptq."""
    out = tmp_path_factory.mktemp("pruned") / "out"
    return out, build(narrow, out, "prune(m=4), gptq")


@pytest.fixture(scope="module")
def dense(narrow, tmp_path_factory):
    return build(narrow, tmp_path_factory.mktemp("dense") / "out", "gptq")


def weights(path):
    """The numbers of every convolution's weights as the file holds them, dequantized here."""
    model = onnx.load(path)
    tensors = {t.name: numpy_helper.to_array(t).astype(np.float32) for t in model.graph.initializer}
    producers = {node.output[0]: node for node in model.graph.node}
    real = []
    for node in model.graph.node:
        if node.op_type not in ("Conv", "ConvInteger"):
            continue
        name, zero = node.input[1], None
        if name not in tensors and producers[name].op_type == "Cast":
            name = producers[name].input[0]
        if name in tensors:
            real.append(tensors[name])
            continue
        dequantize = producers[name]
        assert dequantize.op_type == "DequantizeLinear"
        codes = tensors[dequantize.input[0]]
        if len(dequantize.input) > 2:
            zero = tensors[dequantize.input[2]]
            attributes = {a.name: a.i for a in dequantize.attribute}
            if attributes.get("block_size", 0) > 0:
                zero = np.repeat(zero, attributes["block_size"], attributes["axis"])
                zero = np.take(zero, range(codes.shape[attributes["axis"]]), attributes["axis"])
            elif zero.ndim == 1:
                zero = zero.reshape([-1 if i == attributes["axis"] else 1 for i in range(codes.ndim)])
        real.append(codes - (0 if zero is None else zero))
    return real


@pytest.mark.parametrize("precision", PRECISIONS)
def test_two_of_each_four_are_zero(pruned, precision):
    """Along the channels that are summed, in every layer that is pruned and no other, after gptq."""
    seen = set()
    for w in weights(pruned[0] / f"{precision}.onnx"):
        zeros = w == 0
        if w.shape not in PRUNED:
            assert np.mean(zeros) < 0.4, w.shape
            continue
        seen.add(w.shape)
        fours = zeros.reshape(w.shape[0], w.shape[1] // 4, 4, *w.shape[2:]).sum(2)
        assert fours.min() >= 2, f"{precision} {w.shape}"
        assert np.mean(fours == 2) > 0.5, "codes of the others are not zero, most of them"
    assert seen == PRUNED


@pytest.mark.parametrize("precision", PRECISIONS)
def test_peers_answer_alike(narrow, pruned, tmp_path, precision):
    feeds, _ = digits("eval")
    ours = narrow.outputs(pruned[0] / f"{precision}.narrow", feeds, tmp_path)["logits"]
    theirs = onnx_runtime(pruned[0] / f"{precision}.onnx", feeds)["logits"]
    assert np.mean(ours.argmax(1) == theirs.argmax(1)) >= 0.99


def test_files_are_smaller_and_answers_worse(pruned, dense):
    for precision in PRECISIONS:
        with_zeros, whole = pruned[1][precision], dense[precision]
        assert with_zeros["bytes"] < whole["bytes"], precision
        assert with_zeros["figures"]["sqnr"]["value"] < whole["figures"]["sqnr"]["value"], precision
        assert with_zeros["figures"]["top1"]["value"] > whole["figures"]["top1"]["value"] - 5, precision


def test_the_ledger_sums_to_the_file(narrow, pruned):
    for precision in ["fp32", *PRECISIONS]:
        b = pruned[1][precision]
        assert b["bytes"] == (pruned[0] / f"{precision}.narrow").stat().st_size
        assert b["ledger"]["file"] == b["bytes"] == sum(b["ledger"]["kinds"].values())
        assert min(b["ledger"]["kinds"].values()) >= 0
        shown = narrow("explain", pruned[0] / f"{precision}.narrow", "--json").json["bytes"]
        assert shown == b["ledger"]
    assert "places" not in pruned[1]["fp32"]["ledger"]["kinds"]
    int4 = pruned[1]["int4"]["ledger"]["kinds"]
    elements = sum(int(np.prod(shape)) for shape in PRUNED)
    # Two codes of four bits for each four weights and three bits that say which, or less where more are zero.
    assert elements * 3 // 32 <= int4["places"] <= elements // 8
    dense = 64 * 9 + 64 * 9 + 128 * 9 + 10 * 128 // 2  # three layers too short for groups in int8, the last one
    assert 0.8 * elements / 4 + dense < int4["codes"] <= elements / 4 + dense


def test_notes_say_what_it_did(pruned):
    notes = " ".join(pruned[1]["int8"]["findings"])
    assert "prune:" in notes and "are zero (2 of each 4 weights, by the loss of their absence" in notes
    assert "reads the model's input" in notes and "depthwise" in notes
    assert "with these zeros" in notes
    counts = pruned[1]["int8"]["recipe"]["pruned"]
    assert sum(c["weights"] for c in counts.values()) == sum(int(np.prod(shape)) for shape in PRUNED)
    assert all(c["zeros"] * 2 >= c["weights"] for c in counts.values())


def test_without_data_by_magnitude(narrow, tmp_path):
    """`quantize` without data: the smallest go, and a note says why not by loss."""
    done = narrow("quantize", MODEL, "--precision", "bf16", "--out", tmp_path / "bf16.onnx", "--recipe", "prune(sparsity=0.75)")
    assert "pruned by magnitude" in done.stdout
    for w, whole in zip(weights(tmp_path / "bf16.onnx"), weights(pruned_free(narrow, tmp_path)), strict=True):
        if w.shape not in PRUNED:
            continue
        assert np.mean(w == 0) == pytest.approx(0.75, abs=1e-3)
        assert np.abs(whole[w == 0]).max() <= np.abs(w[w != 0]).min() * (1 + 2**-7)  # as bf16 has them


def pruned_free(narrow, tmp_path):
    narrow("quantize", MODEL, "--precision", "bf16", "--out", tmp_path / "whole.onnx", "--recipe", "nearest")
    return tmp_path / "whole.onnx"


def test_settings_that_disagree(narrow, tmp_path):
    for recipe, part in [("prune(m=4,block=8)", "m or block, not both"), ("prune(m=4,n=4)", "n below m"),
                         ("prune(n=1.5,m=4)", "whole numbers"), ("gptq, prune", "before what rounds"),
                         ("prune, equalize", "prune and outliers between them"), ("prune, prune(m=4)", "prune once")]:
        done = narrow("build", MODEL, "--calib", CALIB, "--out", tmp_path / "out", "--recipe", recipe, code=2)
        assert part in done.stderr, recipe
