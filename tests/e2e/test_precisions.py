"""int8-dynamic and weight-only builds: figures, sizes, files the peers read."""
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from conftest import DIGITS, MODEL, digits, onnx_runtime

CALIB, EVAL = DIGITS / "calib.toml", DIGITS / "eval.toml"
WEIGHTS = ["int8-weights", "int4", "int3", "int2", "ternary", "binary"]
PRECISIONS = ["int8-dynamic", *WEIGHTS]
# codes as the portable file has them, and bits of one in a .narrow file, of a zero point
STORED = {"int8-weights": (TensorProto.INT8, range(-127, 128), 8, 0), "int4": (TensorProto.UINT4, range(16), 4, 4),
          "int3": (TensorProto.UINT4, range(8), 3, 3), "int2": (TensorProto.UINT4, range(4), 2, 2),
          "ternary": (TensorProto.INT4, (-1, 0, 1), 1.6, 0), "binary": (TensorProto.INT4, (-1, 1), 1, 0)}


@pytest.fixture(scope="module")
def narrowed(narrow, tmp_path_factory):
    out = tmp_path_factory.mktemp("narrowed") / "out"
    narrow("build", MODEL, "--calib", CALIB, "--eval", EVAL, "--out", out, "--seconds", "0.05",
           "--precisions", ",".join(["fp32", *PRECISIONS]), "--group-size", "16")
    return out


def builds(folder):
    return {b["name"]: b for b in json.loads((folder / "manifest.json").read_text())["builds"]}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_peers_answer_alike(narrow, narrowed, tmp_path, precision):
    feeds, _ = digits("eval")
    ours = narrow.outputs(narrowed / f"{precision}.narrow", feeds, tmp_path)["logits"]
    theirs = onnx_runtime(narrowed / f"{precision}.onnx", feeds)["logits"]
    assert np.mean(ours.argmax(1) == theirs.argmax(1)) >= 0.99
    onnx.checker.check_model(onnx.load(narrowed / f"{precision}.onnx"), full_check=True)


def test_figures_are_in_order(narrowed):
    b = builds(narrowed)
    sqnr = [b[p]["figures"]["sqnr"]["value"] for p in WEIGHTS]
    assert sqnr == sorted(sqnr, reverse=True) and sqnr[0] > 45 and b["int8-dynamic"]["figures"]["sqnr"]["value"] > 35
    sizes = [b[p]["bytes"] for p in WEIGHTS]
    assert sizes == sorted(sizes, reverse=True)


def test_weights_are_stored_in_their_bits(narrowed):
    """Codes, FP16 scales and zero points of every group, counted here from the portable file."""
    layers = {}
    for precision, (kind, codes_there_are, bits, zero_bits) in STORED.items():
        model = onnx.load(narrowed / f"{precision}.onnx")
        tensors = {t.name: t for t in model.graph.initializer}
        counted = []
        for node in model.graph.node:
            if node.op_type != "DequantizeLinear":
                continue
            codes = tensors[node.input[0]]
            elements = int(np.prod(codes.dims))
            blocked = any(a.name == "block_size" for a in node.attribute)
            assert codes.data_type == (kind if blocked else TensorProto.INT8)
            if not blocked:
                continue
            assert set(np.unique(numpy_helper.to_array(codes).astype(np.int64))) <= set(codes_there_are)
            assert len(node.input) == (3 if zero_bits else 2)
            cast = next(n for n in model.graph.node if n.output[0] == node.input[1])
            groups = int(np.prod(tensors[cast.input[0]].dims))
            counted.append((8 * -(-elements // 5) if precision == "ternary" else elements * bits) / elements + groups * (16 + zero_bits) / elements)
        said = builds(narrowed)[precision]["recipe"]["weights"]
        layers[precision] = len(counted)
        assert counted and sorted(counted) == pytest.approx(sorted(w["bits_per_weight"] for w in said.values() if w["group_size"] > 0))
    assert len(set(layers.values())) == 1


def test_file_has_the_bits(narrowed):
    """What the .narrow files of two precisions differ by is what their weights do, but for the alignment of tensors and the recipe's text."""
    b = builds(narrowed)
    for wide, few in zip(WEIGHTS, WEIGHTS[1:]):
        bits = [b[p]["recipe"]["stored_weights"]["bits"] for p in (wide, few)]
        assert (b[wide]["bytes"] - b[few]["bytes"]) == pytest.approx((bits[0] - bits[1]) / 8, abs=1000)


def test_a_sample_does_not_see_its_batch(narrow, narrowed, tmp_path):
    feeds, _ = digits("eval")
    one = {"input": feeds["input"][:1]}
    loud = {"input": np.concatenate([feeds["input"][:1], 100 * feeds["input"][1:4]])}
    alone = narrow.outputs(narrowed / "int8-dynamic.narrow", one, tmp_path)["logits"]
    together = narrow.outputs(narrowed / "int8-dynamic.narrow", loud, tmp_path)["logits"]
    assert np.array_equal(alone[0], together[0])


def test_isas_differ_by_single_codes(narrow, narrowed, tmp_path):
    feeds, _ = digits("eval")
    answers = [narrow.outputs(narrowed / "int8-dynamic.narrow", feeds, tmp_path, environment={"NARROW_MAX_ISA": isa})["logits"]
               for isa in ("plain", "avx2", "avx2_vnni", "avx512", "avx512_vnni", "avx512_bf16", "amx")]
    # Integers are equal; FP32 sums of the depthwise layers may put a value on the other side of a tie: a step of 1/127.
    for other in answers[1:]:
        assert np.abs(other - answers[0]).max() <= np.abs(answers[0]).max() / 127


def test_quantize_writes_them_without_calibration(narrow, tmp_path):
    for precision in PRECISIONS:
        narrow("quantize", MODEL, "--precision", precision, "--out", tmp_path / f"{precision}.onnx")
        assert (tmp_path / f"{precision}.onnx").stat().st_size < 0.5 * MODEL.stat().st_size


def test_a_channel_is_one_group(narrow, tmp_path):
    """--group-size 0: as many scales as results; both engines answer alike, from codes that hqq chose without data."""
    files = [tmp_path / f"int4.{kind}" for kind in ("onnx", "narrow")]
    for file in files:
        said = narrow("quantize", MODEL, "--precision", "int4", "--group-size", "0", "--recipe", "hqq", "--out", file, "--json").json["recipe"]
    assert any(note.startswith("hqq: ") for note in said["notes"])
    model = onnx.load(files[0])
    tensors = {t.name: t for t in model.graph.initializer}
    dequantized = [node for node in model.graph.node if node.op_type == "DequantizeLinear"]
    few = [node for node in dequantized if tensors[node.input[0]].data_type == TensorProto.UINT4]
    assert few
    for node in few:
        codes, zeros = tensors[node.input[0]], tensors[node.input[2]]
        axis = next(a.i for a in node.attribute if a.name == "axis")
        assert list(zeros.dims) == [codes.dims[axis]] and not any(a.name == "block_size" for a in node.attribute)
    assert said["stored_weights"]["weights"] == sum(int(np.prod(tensors[n.input[0]].dims)) for n in dequantized)
    feeds, _ = digits("eval")
    ours = narrow.outputs(files[1], feeds, tmp_path)["logits"]
    assert np.mean(ours.argmax(1) == onnx_runtime(files[0], feeds)["logits"].argmax(1)) >= 0.99


def test_wrong_group_size_is_a_usage_error(narrow, tmp_path):
    for size in ("1", "-4", "x"):
        narrow("quantize", MODEL, "--precision", "int4", "--group-size", size, "--out", tmp_path / "o.onnx", code=2)


def test_a_model_without_layers_says_so(narrow, tmp_path):
    """All arithmetic inside the branches of an If: no build would differ from fp32, and none pretends to."""
    value = lambda name, shape: onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    branches = []
    for i in range(2):
        w = numpy_helper.from_array(np.full((4, 4), 0.5 + i, np.float32), f"w{i}")
        branches.append(onnx.helper.make_graph([onnx.helper.make_node("MatMul", ["x", f"w{i}"], [f"b{i}"])], f"branch{i}", [],
                                               [value(f"b{i}", None)], [w]))
    nodes = [onnx.helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
             onnx.helper.make_node("Greater", ["sum", "zero"], ["positive"]),
             onnx.helper.make_node("If", ["positive"], ["y"], then_branch=branches[0], else_branch=branches[1])]
    graph = onnx.helper.make_graph(nodes, "g", [value("x", ["N", 4])], [value("y", None)],
                                   [numpy_helper.from_array(np.float32(0), "zero")])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32))
    done = narrow("build", tmp_path / "m.onnx", "--calib", tmp_path / "x.npz", "--out", tmp_path / "out", "--seconds", "0.05")
    assert "int8: nothing in this model would be narrower (layers inside If" in done.stdout
    assert [f.name for f in (tmp_path / "out").glob("*.narrow")] == ["fp32.narrow"]
