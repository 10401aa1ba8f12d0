#!/usr/bin/env python3
"""Writes FP32 models of well-known shape with seeded random weights: speed does not depend on what a model knows.

usage: models.py DIR [--only NAME...]      the batch is the free dimension "N"
"""
import argparse
import functools
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import light


class Net:
    """A graph under construction: `op` and the layers below append nodes and return the name of their result."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.weights = [], []

    def const(self, value, dtype=np.float32) -> str:
        self.weights.append(numpy_helper.from_array(np.asarray(value, dtype), f"w{len(self.weights)}"))
        return self.weights[-1].name

    def normal(self, std: float, *shape: int) -> str:
        return self.const(self.rng.standard_normal(shape, np.float32) * np.float32(std))

    def op(self, kind: str, *inputs: str, **attributes) -> str:
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def conv(self, x, cin, cout, kernel=1, stride=1, groups=1, gain=2.0):
        """He initialization: variance gain / fan-in; 2 in front of a ReLU keeps the scale of activations."""
        fan_in = cin // groups * kernel * kernel
        w = self.normal((gain / fan_in) ** 0.5, cout, cin // groups, kernel, kernel)
        return self.op("Conv", x, w, self.normal(0.1, cout), kernel_shape=[kernel, kernel], group=groups,
                       strides=[stride, stride], pads=[kernel // 2] * 4)

    def classifier(self, x, width, classes=1000):
        x = self.op("Flatten", self.op("GlobalAveragePool", x))
        return self.op("Gemm", x, self.normal(width**-0.5, classes, width), self.normal(0.1, classes), transB=1)

    def dense(self, x, cin, cout):
        return self.op("Add", self.op("MatMul", x, self.normal(cin**-0.5, cin, cout)), self.normal(0.1, cout))

    def layer_norm(self, x, width):
        gamma = self.const(self.rng.uniform(0.9, 1.1, width))
        return self.op("LayerNormalization", x, gamma, self.normal(0.1, width), axis=-1, epsilon=1e-12)

    def model(self, name, inputs, shape) -> onnx.ModelProto:
        """`inputs`: (name, element type, shape behind the batch). The last node's result, of `shape`, is the output."""
        self.nodes[-1].output[0] = "output"
        values = [helper.make_tensor_value_info(n, kind, ["N", *dims]) for n, kind, dims in inputs]
        result = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", *shape])
        graph = helper.make_graph(self.nodes, name, values, [result], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return model


PHOTO = [("input", TensorProto.FLOAT, [3, 224, 224])]


def resnet50() -> onnx.ModelProto:
    """Version 1.5: the 3x3 convolution of a block carries the stride."""
    net = Net(seed=50)
    x = net.op("Relu", net.conv("input", 3, 64, kernel=7, stride=2))
    x = net.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    width = 64
    for stage, blocks in enumerate([3, 4, 6, 3]):
        inner, outer = 64 << stage, 256 << stage
        for block in range(blocks):
            stride = 2 if block == 0 and stage > 0 else 1
            skip = net.conv(x, width, outer, stride=stride, gain=1) if block == 0 else x
            y = net.op("Relu", net.conv(x, width, inner))
            y = net.op("Relu", net.conv(y, inner, inner, kernel=3, stride=stride))
            x = net.op("Relu", net.op("Add", net.conv(y, inner, outer, gain=0.25), skip))
            width = outer
    net.classifier(x, width)
    return net.model("resnet50", PHOTO, [1000])


def mobilenet_v2() -> onnx.ModelProto:
    net = Net(seed=2)
    zero, six = net.const(0), net.const(6)

    def relu6(x):
        return net.op("Clip", x, zero, six)

    x, width = relu6(net.conv("input", 3, 32, kernel=3, stride=2)), 32
    # expansion, channels, blocks, stride of the first block: table 2 of Sandler et al., 2018
    for expansion, channels, blocks, first_stride in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
                                                      (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]:
        for block in range(blocks):
            stride, inner = first_stride if block == 0 else 1, expansion * width
            y = relu6(net.conv(x, width, inner)) if expansion > 1 else x
            y = relu6(net.conv(y, inner, inner, kernel=3, stride=stride, groups=inner))
            y = net.conv(y, inner, channels, gain=1)
            x = net.op("Add", x, y) if stride == 1 and width == channels else y
            width = channels
    net.classifier(relu6(net.conv(x, width, 1280)), 1280)
    return net.model("mobilenet_v2", PHOTO, [1000])


def minilm_l6(layers=6, width=384, heads=12, length=128, vocabulary=30522) -> onnx.ModelProto:
    """The encoder of sentence-transformers/all-MiniLM-L6, written with the operators that exporters write."""
    net = Net(seed=6)
    head = width // heads
    split, merge = net.const([0, length, heads, head], np.int64), net.const([0, length, width], np.int64)

    def attention(x, mask):
        q, k, v = (net.op("Reshape", net.dense(x, width, width), split) for _ in range(3))
        q, v = (net.op("Transpose", t, perm=[0, 2, 1, 3]) for t in (q, v))
        k = net.op("Transpose", k, perm=[0, 2, 3, 1])
        scores = net.op("Div", net.op("MatMul", q, k), net.const(head**0.5))
        weights = net.op("Softmax", net.op("Add", scores, mask), axis=-1)
        y = net.op("Transpose", net.op("MatMul", weights, v), perm=[0, 2, 1, 3])
        return net.dense(net.op("Reshape", y, merge), width, width)

    def gelu(x):
        erf = net.op("Erf", net.op("Div", x, net.const(2**0.5)))
        return net.op("Mul", net.op("Mul", x, net.op("Add", erf, net.const(1))), net.const(0.5))

    words = net.op("Gather", net.normal(1, vocabulary, width), "input_ids")
    x = net.layer_norm(net.op("Add", words, net.normal(0.5, 1, length, width)), width)
    mask = net.op("Cast", net.op("Unsqueeze", "attention_mask", net.const([1, 2], np.int64)), to=TensorProto.FLOAT)
    mask = net.op("Mul", net.op("Sub", net.const(1), mask), net.const(-10000))
    for _ in range(layers):
        x = net.layer_norm(net.op("Add", x, attention(x, mask)), width)
        y = net.dense(gelu(net.dense(x, width, 4 * width)), 4 * width, width)
        x = net.layer_norm(net.op("Add", x, y), width)
    tokens = [(name, TensorProto.INT64, [length]) for name in ("input_ids", "attention_mask")]
    return net.model("minilm_l6", tokens, [length, width])


def bert_base() -> onnx.ModelProto:
    """110 million parameters; for methods that take long, not among those that are timed."""
    return minilm_l6(layers=12, width=768)


MODELS = {build.__name__: build for build in (resnet50, mobilenet_v2, minilm_l6)}
MODELS |= {name: functools.partial(light.build, name) for name in light.NAMES}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--only", nargs="+", choices=[*MODELS, "bert_base"], default=list(MODELS), metavar="NAME")
    options = parser.parse_args()
    options.dir.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        path = options.dir / f"{name}.onnx"
        onnx.save({**MODELS, "bert_base": bert_base}[name](), path)
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
