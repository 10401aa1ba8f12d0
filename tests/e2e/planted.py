"""An encoder of a few layers with outliers planted: which of its layers int8 cannot hold is known beforehand.

A channel of what some products read is a few hundred times larger than the others, and the weights that meet it are as much
smaller: the function hardly changes, but the one scale of that value leaves the other channels a few codes. Or all channels of a
norm lie around a large number, which the biases behind it take away again: neither 8 bits nor a short fraction keep what differs.
"""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH, HIDDEN, HEADS, LENGTH, LAYERS = 128, 512, 4, 64, 3
LOUD = 400.0
FAR = 1024.0  # FP16 numbers are 1 apart there, bf16 numbers 8
HUGE = 1e5  # times LOUD's channel: beyond FP16


class Builder:
    def __init__(self, seed):
        self.random, self.nodes, self.constants = np.random.default_rng(seed), [], []

    def constant(self, name, array):
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, op, name, *inputs, **attributes):
        self.nodes.append(helper.make_node(op, list(inputs), [name + "_out"], name=name, **attributes))
        return name + "_out"

    def weights(self, rows, columns):
        return self.random.normal(0, rows ** -0.5, (rows, columns)).astype(np.float32)

    def product(self, name, x, weights, offset=0.0):
        """`offset`: what all channels of x lie around."""
        y = self.node("MatMul", name, x, self.constant(name + "_w", weights))
        bias = self.random.normal(0, 0.05, weights.shape[1]) - offset * weights.sum(0, dtype=np.float64)
        return self.node("Add", name + "_add", y, self.constant(name + "_b", bias.astype(np.float32)))

    def norm(self, name, x, loud, offset=0.0):
        """`loud`: how much larger channel 5 is."""
        gamma = np.ones(WIDTH, np.float32)
        gamma[5] = loud
        return self.node("LayerNormalization", name, x, self.constant(name + "_g", gamma),
                         self.constant(name + "_bias", np.full(WIDTH, offset, np.float32)), axis=-1, epsilon=1e-5)


def write(path, loud):
    """`loud`: "attention" or "ffn" of every layer, "far": the norm before attention, "huge": that norm beyond FP16.
    Returns (names of the products that read outliers, those of the others)."""
    b, guilty, innocent = Builder(7), [], []
    before_attention = {"attention": LOUD, "huge": HUGE}.get(loud, 1.0)
    offset = FAR if loud == "far" else 0.0
    shape = b.constant("heads", np.array([0, LENGTH, HEADS, WIDTH // HEADS], np.int64))
    flat = b.constant("flat", np.array([0, LENGTH, WIDTH], np.int64))
    scale = b.constant("scale", np.float32((WIDTH // HEADS) ** -0.5))
    x = "x"
    for i in range(LAYERS):
        part = {}
        norm = b.norm(f"l{i}.norm1", x, before_attention, offset)
        for name in "qkv":
            weights = b.weights(WIDTH, WIDTH)
            weights[5] /= before_attention
            y = b.node("Reshape", f"l{i}.{name}_split", b.product(f"l{i}.{name}", norm, weights, offset), shape)
            part[name] = b.node("Transpose", f"l{i}.{name}_t", y, perm=[0, 2, 3, 1] if name == "k" else [0, 2, 1, 3])
            (innocent if loud == "ffn" else guilty).append(f"l{i}.{name}")
        scores = b.node("Mul", f"l{i}.scaled", b.node("MatMul", f"l{i}.scores", part["q"], part["k"]), scale)
        mixed = b.node("MatMul", f"l{i}.mix", b.node("Softmax", f"l{i}.softmax", scores, axis=-1), part["v"])
        joined = b.node("Reshape", f"l{i}.join", b.node("Transpose", f"l{i}.back", mixed, perm=[0, 2, 1, 3]), flat)
        x = b.node("Add", f"l{i}.res1", x, b.product(f"l{i}.o", joined, b.weights(WIDTH, WIDTH)))
        norm = b.norm(f"l{i}.norm2", x, LOUD if loud == "ffn" else 1.0)
        first = b.weights(WIDTH, HIDDEN)
        if loud == "ffn":
            first[5] /= LOUD
        hidden = b.node("Relu", f"l{i}.relu", b.product(f"l{i}.fc1", norm, first))
        x = b.node("Add", f"l{i}.res2", x, b.product(f"l{i}.fc2", hidden, b.weights(HIDDEN, WIDTH)))
        innocent += [f"l{i}.o", f"l{i}.fc2"]
        (guilty if loud == "ffn" else innocent).append(f"l{i}.fc1")
    y = b.product("head", x, b.weights(WIDTH, 16))
    innocent.append("head")
    graph = helper.make_graph(b.nodes, "planted", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", LENGTH, WIDTH])],
                              [helper.make_tensor_value_info(y, TensorProto.FLOAT, ["N", LENGTH, 16])], b.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return guilty, innocent


def write_data(folder):
    random = np.random.default_rng(11)
    for name, count in (("calib", 24), ("eval", 24)):
        np.savez(folder / f"{name}.npz", x=random.normal(0, 1, (count, LENGTH, WIDTH)).astype(np.float32))
