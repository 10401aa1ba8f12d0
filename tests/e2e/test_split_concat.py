"""Boxes in pixels and scores below 1 in one Concat: joined in FP32 where nothing needs them under one scale."""
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from conftest import onnx_runtime

WIDTH = 96


def detector(folder, reads_whole, seed=11):
    """Two layers of features, boxes around 300 and scores from a Sigmoid, joined; behind them a layer that reads the boxes alone, or all."""
    random = np.random.default_rng(seed)

    def weights(*shape, size=None):
        return random.standard_normal(shape) * (size or (2 / np.prod(shape[1:])) ** 0.5)

    constants = {"w1": weights(WIDTH, 3, 3, 3), "w2": weights(WIDTH, WIDTH, 3, 3), "wb": weights(4, WIDTH, 1, 1, size=4), "bb": np.full(4, 300.0),
                 "ws": weights(4, WIDTH, 1, 1), "wo": weights(2, 8 if reads_whole else 4, 1, 1)}
    tensors = [numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in constants.items()]
    tensors += [numpy_helper.from_array(np.array(v, np.int64), k)
                for k, v in {"from": [0], "to": [4], "axis": [1], "flat": [0, 8, 64]}.items()]

    def node(op, inputs, output, **attributes):
        return helper.make_node(op, inputs.split(), [output], name=output + "_node", **attributes)

    nodes = [node("Conv", "x w1", "c1", pads=[1, 1, 1, 1]), node("Relu", "c1", "r1"), node("Conv", "r1 w2", "c2", pads=[1, 1, 1, 1]),
             node("Relu", "c2", "r2"), node("Conv", "r2 wb bb", "boxes"), node("Conv", "r2 ws", "logits"), node("Sigmoid", "logits", "scores"),
             node("Concat", "boxes scores", "both", axis=1), node("Reshape", "both flat", "found")]
    if not reads_whole:
        nodes.append(node("Slice", "both from to axis", "part"))
    nodes.append(node("Conv", ("both" if reads_whole else "part") + " wo", "out"))
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "detector", [value("x", ["N", 3, 8, 8])], [value("found", ["N", 8, 64]), value("out", ["N", 2, 8, 8])],
                              tensors)
    path = folder / "detector.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize("method", ["mse", "minmax", "output-error"])
@pytest.mark.parametrize("reads_whole", [False, True])
def test_scores_keep_their_own_scale(narrow, tmp_path, reads_whole, method):
    path = detector(tmp_path, reads_whole)
    x = np.random.default_rng(5).standard_normal((32, 3, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x)
    out = tmp_path / "out"
    built = narrow("build", path, "--calib", tmp_path / "data.npz", "--out", out, "--precisions", "fp32,int8", "--seconds", "0.02",
                   "--tactics", "pinned", "--calib-method", method, "--json").json
    build = next(b for b in built["builds"] if b["name"] == "int8")
    said = " ".join(build["findings"])
    assert ("joins values of different magnitude: 'scores'" in said) is not reads_whole
    assert ("mixes ranges" in said) is reads_whole, "named where it could not be helped, and only there"
    formats = {node: choice["format"] for node, choice in build["recipe"]["nodes"].items()}
    assert formats["boxes"] == formats["logits"] == formats["out"] == "int8"
    assert (formats.get("both") == "int8") is reads_whole

    theirs = onnx_runtime(path, {"x": x})["found"]
    one_step = (theirs.max() - min(theirs.min(), 0)) / 255
    for answers in (narrow.outputs(out / "int8.narrow", {"x": x}, tmp_path), onnx_runtime(out / "int8.onnx", {"x": x})):
        scores = np.abs(answers["found"] - theirs)[:, 4:]
        # Under one scale most scores become 0 or the first code: half a step and more away, as the range of a Sigmoid is less than a step.
        assert (scores.mean() < 0.05 * one_step) is not reads_whole
