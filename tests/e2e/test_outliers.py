"""Weights apart: what the files hold by the definition of their operators, ONNX Runtime's answers, sizes, what is gained."""
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from conftest import DIGITS, MODEL, digits, onnx_runtime

CALIB, EVAL = DIGITS / "calib.toml", DIGITS / "eval.toml"
PRECISIONS = ["int8-weights", "int4", "int3", "int2", "ternary", "binary"]


def build(narrow, out, recipe, *options, precisions=PRECISIONS):
    narrow("build", MODEL, "--calib", CALIB, "--eval", EVAL, "--out", out, "--seconds", "0.05", "--tactics", "pinned",
           "--precisions", ",".join(["fp32", *precisions]), "--recipe", recipe, *options)
    return {b["name"]: b for b in json.loads((out / "manifest.json").read_text())["builds"]}


@pytest.fixture(scope="module")
def apart(narrow, tmp_path_factory):
    """folder, builds by name"""
    out = tmp_path_factory.mktemp("apart") / "out"
    return out, build(narrow, out, "outliers(percent=2), gptq")


@pytest.fixture(scope="module")
def together(narrow, tmp_path_factory):
    out = tmp_path_factory.mktemp("together") / "out"
    return out, build(narrow, out, "gptq")


class Constants:
    def __init__(self, path):
        self.model = onnx.load(path)
        self.stored = {t.name: t for t in self.model.graph.initializer}
        self.made = {name: node for node in self.model.graph.node for name in node.output}

    def array(self, name):
        node = self.made.get(name)
        return numpy_helper.to_array(self.stored[name] if node is None else self.stored[node.input[0]])  # behind a Cast

    def apart(self):
        """(shape of the weights, places, values, the DequantizeLinear) of every layer."""
        for node in self.model.graph.node:
            if node.op_type != "ScatterElements":
                continue
            whole = next(n for n in self.model.graph.node if node.output[0] in n.input)
            gaps = self.array(self.made[node.input[1]].input[0])
            flat = self.made[node.input[0]]
            assert gaps.dtype == np.uint8 and self.made[node.input[1]].op_type == "CumSum"
            yield self.array(whole.input[1]), np.cumsum(gaps.astype(np.int64)), self.array(node.input[2]), self.made[flat.input[0]]


def check_layers(path, percent):
    """Ascending places, not too many, codes there that stand for zero (of two codes either). Returns how many are apart."""
    constants, total = Constants(path), 0
    for shape, places, values, dequantize in constants.apart():
        count = int(np.prod(shape))
        assert values.dtype == np.float16 and len(values) == len(places) and np.all(np.diff(places) > 0) and places[-1] < count
        assert 0 < len(places) <= percent / 100 * count
        codes = numpy_helper.to_array(constants.stored[dequantize.input[0]]).astype(np.int64)
        assert list(codes.shape) == list(shape)
        zero = np.zeros(shape, np.int64)
        if len(dequantize.input) > 2:
            attributes = {a.name: a.i for a in dequantize.attribute}
            zero = np.repeat(constants.array(dequantize.input[2]).astype(np.int64), attributes["block_size"], attributes["axis"])
            zero = zero.take(range(shape[attributes["axis"]]), attributes["axis"])
        here = (codes - zero).ravel()[places]
        assert np.all(np.abs(here) == 1) if path.stem == "binary" else np.all(here == 0)
        total += len(places)
    return total


@pytest.mark.parametrize("precision", PRECISIONS)
def test_codes_are_zero_where_a_weight_stands_apart(apart, precision):
    assert len(list(Constants(apart[0] / f"{precision}.onnx").apart())) > 2
    assert check_layers(apart[0] / f"{precision}.onnx", 2) == apart[1][precision]["recipe"]["stored_weights"]["apart"]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_onnx_runtime_and_both_files_answer_alike(narrow, apart, precision, tmp_path):
    x, _ = digits("eval")
    x = {"input": x["input"][:64]}
    wanted = onnx_runtime(apart[0] / f"{precision}.onnx", x)
    for suffix in ("onnx", "narrow"):
        got = narrow.outputs(apart[0] / f"{precision}.{suffix}", x, tmp_path)
        for name, y in wanted.items():
            # Sums of at most 1152 products in FP32, in another order, eight layers deep.
            np.testing.assert_allclose(got[name], y, atol=1e-4 * np.abs(y).max())


def plan(narrow, file):
    """(op, kernel) of every step."""
    return [(s["op"], s["kernel"]) for s in narrow("explain", file, "--json").json["steps"]]


@pytest.mark.parametrize("suffix", ["narrow", "onnx"])
def test_plans_are_those_of_builds_without(narrow, apart, together, suffix):
    steps = plan(narrow, apart[0] / f"int3.{suffix}")
    assert steps == plan(narrow, together[0] / f"int3.{suffix}")
    assert not any(op in ("ScatterElements", "CumSum", "DequantizeLinear") for op, _ in steps)


def test_sizes_are_what_is_counted(narrow, apart, together):
    for precision in PRECISIONS:
        with_apart, without = (b[1][precision]["recipe"]["stored_weights"] for b in (apart, together))
        assert "apart" not in without and with_apart["weights"] == without["weights"]
        assert with_apart["bits"] == without["bits"] + 24 * with_apart["apart"]
        layers = apart[1][precision]["recipe"]["weights"].values()
        assert with_apart["apart"] == sum(layer.get("apart", 0) for layer in layers)
        kinds = narrow("explain", apart[0] / f"{precision}.narrow", "--json").json["bytes"]["kinds"]
        # Up to 64 numbers stand in the text of the graph.
        assert 0 <= with_apart["apart"] - kinds["places"] <= 64 * len(layers)
        for suffix in ("narrow", "onnx"):
            more = [(b[0] / f"{precision}.{suffix}").stat().st_size for b in (apart, together)]
            # Per layer six nodes and ten names, in the graph's text twice where the engine's is kept, and padding.
            assert more[0] - more[1] < 3 * with_apart["apart"] + 4000 * len(layers)


def test_answers_are_nearer_with_them(apart, together):
    for precision in ("int3", "int2", "ternary"):
        sqnr = [b[1][precision]["figures"]["sqnr"]["value"] for b in (apart, together)]
        assert sqnr[0] > sqnr[1] + 0.3, precision


@pytest.mark.parametrize("recipe", ["outliers", "outliers, nearest", "outliers, hqq", "outliers, seqmse(samples=8)", "awq, outliers, gptq",
                                    "prune, outliers, gptq", "outliers, gptq, adaround(iterations=10,samples=16)"])
def test_methods_together(narrow, tmp_path, recipe):
    built = build(narrow, tmp_path / "out", recipe, precisions=["int3"])
    assert 0 < check_layers(tmp_path / "out" / "int3.onnx", 1) == built["int3"]["recipe"]["stored_weights"]["apart"]
    x, _ = digits("eval")
    x = {"input": x["input"][:16]}
    wanted = onnx_runtime(tmp_path / "out" / "int3.onnx", x)
    got = narrow.outputs(tmp_path / "out" / "int3.narrow", x, tmp_path)
    for name, y in wanted.items():
        np.testing.assert_allclose(got[name], y, atol=1e-4 * np.abs(y).max())


def test_large_matrices_are_widened_with_the_plan(narrow, tmp_path):
    """More than 64 MiB of FP32: what is computed of constants only is no step, either."""
    rows, columns = 4100, 4100
    weights = np.random.default_rng(1).standard_normal((rows, columns), np.float32)
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "large",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, rows])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, columns])], [numpy_helper.from_array(weights, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), tmp_path / "large.onnx")
    narrow("quantize", tmp_path / "large.onnx", "--precision", "int4", "--recipe", "nearest", "--out", tmp_path / "int4.onnx")
    assert [op for op, _ in plan(narrow, tmp_path / "int4.onnx")] == ["FusedMatMul"]


def test_threads_make_no_difference(narrow, tmp_path):
    files = []
    for threads in ("1", "3"):
        file = tmp_path / f"{threads}.onnx"
        narrow("quantize", MODEL, "--precision", "int3", "--data", CALIB, "--recipe", "outliers, gptq", "--out", file, "--threads", threads)
        files.append(file.read_bytes())
    assert files[0] == files[1]


def test_written_files_are_models_again(narrow, apart, tmp_path):
    """A file with weights apart, read and written once more: not a byte of weights more, the same answers."""
    file = tmp_path / "again.onnx"
    narrow("inspect", apart[0] / "int3.onnx")
    narrow("quantize", apart[0] / "int3.onnx", "--precision", "fp32", "--out", file)
    again, first = file.stat().st_size, (apart[0] / "int3.onnx").stat().st_size
    assert abs(again - first) < 4000
    x, _ = digits("eval")
    x = {"input": x["input"][:16]}
    for name, y in onnx_runtime(apart[0] / "int3.onnx", x).items():
        np.testing.assert_array_equal(onnx_runtime(file, x)[name], y)


def test_tensorrt_does_without(narrow, tmp_path):
    done = narrow("quantize", MODEL, "--precision", "int4", "--target", "tensorrt", "--data", CALIB, "--recipe", "outliers, gptq", "--out",
                  tmp_path / "int4.onnx", "--json").json
    assert any("outliers is left out" in note for note in done["recipe"]["notes"])
    assert "ScatterElements" not in {n.op_type for n in onnx.load(tmp_path / "int4.onnx").graph.node}


def test_perplexity_falls(narrow, data_pack, tmp_path):
    figures = {}
    for recipe in ("gptq", "outliers, gptq"):
        out = tmp_path / str(len(figures))
        narrow("build", data_pack / "models" / "stories260K.onnx", "--calib", data_pack / "datasets" / "tinystories-calib.toml", "--eval",
               data_pack / "datasets" / "tinystories-eval.toml", "--out", out, "--seconds", "0.05", "--tactics", "pinned",
               "--precisions", "fp32,int3", "--recipe", recipe, timeout=600)
        builds = {b["name"]: b for b in json.loads((out / "manifest.json").read_text())["builds"]}
        figures[recipe] = builds["int3"]["figures"]["perplexity"]["value"]
    assert figures["outliers, gptq"] < 0.98 * figures["gptq"]
