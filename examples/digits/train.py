#!/usr/bin/env python3
"""Trains the digits classifier in NumPy and writes digits.onnx, calib.npz, eval.npz beside this file.

Data: scikit-learn's load_digits, 1797 grey 8x8 images of handwritten digits, pixels 0..16. A fixed permutation cuts
them into 1197 to train on, 200 to calibrate on and 400 to judge on. Needs numpy, scikit-learn and onnx; a minute or two.

    conv 3x3 -> BN -> ReLU -> residual -> MaxPool -> conv 3x3 -> BN -> ReLU -> residual -> GlobalAveragePool -> Gemm
    residual(x) = ReLU(x + BN(conv 1x1(ReLU(BN(depthwise 3x3(x))))))
"""
import pathlib

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).resolve().parent
EPOCHS, BATCH, RATE, DECAY = 16, 64, 2e-3, 1e-4
EPSILON = 1e-5


class Conv:
    """Same-padded convolution without bias, [N, C, H, W]; depthwise when `groups` equals the channels."""

    def __init__(self, rng, inputs, outputs, kernel, depthwise=False):
        fan_in = kernel * kernel * (1 if depthwise else inputs)
        shape = (outputs, 1 if depthwise else inputs, kernel, kernel)
        self.params = [rng.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32)]
        self.depthwise, self.pad = depthwise, kernel // 2

    def windows(self, x):
        k, p = 2 * self.pad + 1, self.pad
        return sliding_window_view(np.pad(x, ((0, 0), (0, 0), (p, p), (p, p))), (k, k), axis=(2, 3))

    def multiply(self, windows, w):
        if self.depthwise:
            return sum(windows[..., i, j] * w[:, 0, i, j, None, None] for i in range(w.shape[2]) for j in range(w.shape[3]))
        return np.tensordot(windows, w, ([1, 4, 5], [1, 2, 3])).transpose(0, 3, 1, 2)

    def forward(self, x, training):
        self.seen = self.windows(x)
        return self.multiply(self.seen, self.params[0])

    def backward(self, dy):
        w = self.params[0]
        flipped = w[:, :, ::-1, ::-1]
        if self.depthwise:
            dw = np.stack([np.stack([(dy * self.seen[..., i, j]).sum((0, 2, 3)) for j in range(w.shape[3])], -1)
                           for i in range(w.shape[2])], 1)[:, None]
        else:
            dw = np.tensordot(dy, self.seen, ([0, 2, 3], [0, 2, 3]))
            flipped = flipped.swapaxes(0, 1)
        self.grads = [dw]
        return self.multiply(self.windows(dy), flipped)

    def export(self, net, x):
        w = self.params[0]
        return net.add("Conv", [x, net.constant(w)], kernel_shape=list(w.shape[2:]), pads=[self.pad] * 4,
                       group=w.shape[0] if self.depthwise else 1)


class BatchNorm:
    """(x - mean) / sqrt(var + eps) * gamma + beta per channel; running statistics once trained."""

    def __init__(self, channels):
        self.params = [np.ones(channels, np.float32), np.zeros(channels, np.float32)]
        self.mean, self.var = np.zeros(channels, np.float32), np.ones(channels, np.float32)

    def forward(self, x, training):
        mean, var = (x.mean((0, 2, 3)), x.var((0, 2, 3))) if training else (self.mean, self.var)
        if training:
            self.mean += 0.1 * (mean - self.mean)
            self.var += 0.1 * (var - self.var)
        self.inverse = 1 / np.sqrt(var + EPSILON)
        self.normal = (x - mean[:, None, None]) * self.inverse[:, None, None]
        return self.normal * self.params[0][:, None, None] + self.params[1][:, None, None]

    def backward(self, dy):
        count = dy.size / dy.shape[1]
        dgamma, dbeta = (dy * self.normal).sum((0, 2, 3)), dy.sum((0, 2, 3))
        self.grads = [dgamma, dbeta]
        inner = dy - (dbeta[:, None, None] + self.normal * dgamma[:, None, None]) / count
        return inner * (self.params[0] * self.inverse)[:, None, None]

    def export(self, net, x):
        arrays = [self.params[0], self.params[1], self.mean, self.var]
        return net.add("BatchNormalization", [x, *map(net.constant, arrays)], epsilon=EPSILON)


class Relu:
    params = grads = ()

    def forward(self, x, training):
        self.live = x > 0
        return x * self.live

    def backward(self, dy):
        return dy * self.live

    def export(self, net, x):
        return net.add("Relu", [x])


class MaxPool:
    """2x2, stride 2."""
    params = grads = ()

    def forward(self, x, training):
        n, c, h, w = x.shape
        blocks = x.reshape(n, c, h // 2, 2, w // 2, 2)
        y = blocks.max((3, 5), keepdims=True)
        self.winner = blocks == y
        return y[:, :, :, 0, :, 0]

    def backward(self, dy):
        spread = self.winner * dy[:, :, :, None, :, None]
        n, c, h, _, w, _ = spread.shape
        return spread.reshape(n, c, 2 * h, 2 * w)

    def export(self, net, x):
        return net.add("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])


class Head:
    """GlobalAveragePool, then Gemm to the ten logits."""

    def __init__(self, rng, channels):
        self.params = [rng.normal(0, np.sqrt(1 / channels), (10, channels)).astype(np.float32), np.zeros(10, np.float32)]

    def forward(self, x, training):
        self.shape, self.mean = x.shape, x.mean((2, 3))
        return self.mean @ self.params[0].T + self.params[1]

    def backward(self, dy):
        self.grads = [dy.T @ self.mean, dy.sum(0)]
        dx = dy @ self.params[0] / (self.shape[2] * self.shape[3])
        return np.broadcast_to(dx[:, :, None, None], self.shape)

    def export(self, net, x):
        flat = net.add("Flatten", [net.add("GlobalAveragePool", [x])])
        return net.add("Gemm", [flat, *map(net.constant, self.params)], output="logits", transB=1)


class Chain:
    def __init__(self, *layers):
        self.layers = layers

    def forward(self, x, training):
        for layer in self.layers:
            x = layer.forward(x, training)
        return x

    def backward(self, dy):
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy

    def export(self, net, x):
        for layer in self.layers:
            x = layer.export(net, x)
        return x

    params = property(lambda self: [p for layer in self.layers for p in layer.params])
    grads = property(lambda self: [g for layer in self.layers for g in layer.grads])


class Residual(Chain):
    """x plus what the chain makes of it."""

    def forward(self, x, training):
        return x + super().forward(x, training)

    def backward(self, dy):
        return dy + super().backward(dy)

    def export(self, net, x):
        return net.add("Add", [x, super().export(net, x)])


class Net:
    """Collects ONNX nodes."""

    def __init__(self):
        self.nodes, self.constants, self.counts = [], [], {}

    def constant(self, array):
        name = f"weight_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
        return name

    def add(self, op, inputs, output=None, **attributes):
        self.counts[op] = self.counts.get(op, 0) + 1
        name = f"{op.lower()}_{self.counts[op]}"
        self.nodes.append(helper.make_node(op, inputs, [output or name + "_out"], name=name, **attributes))
        return output or name + "_out"


def classifier(rng, narrow=64, wide=128):
    def residual(channels):
        return Residual(Conv(rng, channels, channels, 3, depthwise=True), BatchNorm(channels), Relu(),
                        Conv(rng, channels, channels, 1), BatchNorm(channels))
    return Chain(Conv(rng, 1, narrow, 3), BatchNorm(narrow), Relu(), residual(narrow), Relu(), MaxPool(),
                 Conv(rng, narrow, wide, 3), BatchNorm(wide), Relu(), residual(wide), Relu(), Head(rng, wide))


def shifted(rng, images):
    """Each image moved by -1, 0 or 1 pixels along both axes."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    moves = rng.integers(0, 3, (len(images), 2))
    return np.stack([image[:, y:y + 8, x:x + 8] for image, (y, x) in zip(padded, moves)])


def train(rng, model, images, labels):
    """Adam on cross-entropy, the rate falling along a half cosine."""
    first, second = ([np.zeros_like(p) for p in model.params] for _ in range(2))
    steps, t = EPOCHS * (len(images) // BATCH), 0
    for epoch in range(EPOCHS):
        order, loss = rng.permutation(len(images)), 0
        for at in range(0, len(images) - BATCH + 1, BATCH):
            pick = order[at:at + BATCH]
            logits = model.forward(shifted(rng, images[pick]), True)
            p = np.exp(logits - logits.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            loss -= np.log(p[np.arange(BATCH), labels[pick]]).sum()
            p[np.arange(BATCH), labels[pick]] -= 1
            model.backward(p / BATCH)
            t += 1
            rate = RATE * 0.5 * (1 + np.cos(np.pi * t / steps))
            for w, g, m, v in zip(model.params, model.grads, first, second):
                m += 0.1 * (g - m)
                v += 0.001 * (g * g - v)
                w -= rate * (m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8) + DECAY * w)
        print(f"epoch {epoch + 1:2d}  loss {loss / len(images):.4f}", flush=True)


def export(model, path):
    net = Net()
    model.export(net, "input")
    graph = helper.make_graph(net.nodes, "digits",
                              [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 1, 8, 8])],
                              [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])], net.constants)
    file = helper.make_model(graph, producer_name="narrow examples", ir_version=8,
                             opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(file, full_check=True)
    onnx.save(file, path)


def main():
    from sklearn.datasets import load_digits
    digits, rng = load_digits(), np.random.default_rng(1)
    images = digits.images.astype(np.uint8)[:, None]
    labels = digits.target.astype(np.int64)
    order = rng.permutation(len(images))
    parts = {"train": order[:1197], "calib": order[1197:1397], "eval": order[1397:]}
    scaled = images.astype(np.float32) / 16
    model = classifier(rng)
    train(rng, model, scaled[parts["train"]], labels[parts["train"]])
    for name in ("calib", "eval"):
        np.savez_compressed(HERE / f"{name}.npz", input=images[parts[name]], label=labels[parts[name]])
    right = model.forward(scaled[parts["eval"]], False).argmax(1) == labels[parts["eval"]]
    export(model, HERE / "digits.onnx")
    print(f"{sum(p.size for p in model.params)} parameters, top-1 on eval {100 * right.mean():.2f}% ({right.sum()} of {right.size})")


if __name__ == "__main__":
    main()
