"""Convolutions that read the same value, computed as one where the cache says that this was faster."""
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

WIDTH = 64


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Two 1x1 reductions of one value, each with a 3x3 behind it, joined."""
    random = np.random.default_rng(3)
    constants = {"w0": (WIDTH, 3, 3, 3), "wa": (WIDTH, WIDTH, 1, 1), "wb": (WIDTH, WIDTH, 1, 1), "wc": (8, WIDTH, 3, 3), "wd": (8, WIDTH, 3, 3)}
    tensors = [numpy_helper.from_array((random.standard_normal(shape) * (2 / np.prod(shape[1:])) ** 0.5).astype(np.float32), name)
               for name, shape in constants.items()]

    def node(op, inputs, output, **attributes):
        return helper.make_node(op, inputs.split(), [output], name=output + "_node", **attributes)

    nodes = [node("Conv", "x w0", "c", pads=[1, 1, 1, 1]), node("Relu", "c", "s"), node("Conv", "s wa", "a"), node("Relu", "a", "ar"),
             node("Conv", "s wb", "b"), node("Relu", "b", "br"), node("Conv", "ar wc", "left", pads=[1, 1, 1, 1]),
             node("Conv", "br wd", "right", pads=[1, 1, 1, 1]), node("Concat", "left right", "y", axis=1)]
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "parallel", [value("x", ["N", 3, 12, 12])], [value("y", ["N", 16, 12, 12])], tensors)
    path = tmp_path_factory.mktemp("merging") / "parallel.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    np.savez(path.with_suffix(".npz"), x=random.standard_normal((8, 3, 12, 12)).astype(np.float32))
    return path


def test_what_the_cache_says_is_built_explained_and_compared(narrow, model, tmp_path):
    data, cache = model.with_suffix(".npz"), tmp_path / "cache"
    narrow("calibrate", model, "--data", data, "--out", tmp_path / "c.json")
    environment = {"NARROW_CACHE": str(cache)}

    def quantized(name, *options):
        narrow("quantize", model, "--precision", "int8", "--calibration", tmp_path / "c.json", "--recipe", "nearest", "--out", tmp_path / name, *options,
               environment=environment)
        return tmp_path / name

    quantized("timed.narrow")
    (file,) = cache.glob("tactics-*.json")
    known = json.loads(file.read_text())
    (key,) = [key for key in known["cases"] if key.startswith("Convolutions of")]
    assert sorted(trial["kernel"] for trial in known["cases"][key]) == ["each convolution apart", "parallel convolutions merged"]
    assert all(trial["us"] > 0 for trial in known["cases"][key])

    answers, layers = {}, {}
    x = np.load(data)["x"][:1]
    for won, name in (("parallel convolutions merged", "merged.narrow"), ("each convolution apart", "apart.narrow")):
        known["cases"][key].sort(key=lambda trial: trial["kernel"] != won)
        file.write_text(json.dumps(known))
        path = quantized(name)
        explained = narrow("explain", path, "--json")
        assert won in [choice[0]["choice"] for choice in explained.json["choices"]]
        assert f"the whole plan {won}" in narrow("explain", path).stdout
        steps = {step["node"]: step["kernel"] for step in explained.json["steps"]}
        assert ("a_node+b_node" in steps) is ("a_node" not in steps) is (name == "merged.narrow")
        answers[name] = narrow.outputs(path, {"x": x}, tmp_path)["y"]
        compared = narrow("verify", path, "--reference", model, "--data", data, "--json").json["layers"]
        layers[name] = {layer["value"]: layer for layer in compared}
        assert {"a_node", "b_node"} <= {layer["node"] for layer in compared}
        assert narrow("profile", path, "--json").json["steps"]
    np.testing.assert_array_equal(answers["merged.narrow"], answers["apart.narrow"])
    assert layers["merged.narrow"] == layers["apart.narrow"]

    pinned = quantized("pinned.narrow", "--tactics", "pinned")
    assert not narrow("explain", pinned, "--json").json["choices"]
