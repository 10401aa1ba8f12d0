"""A Q/DQ model one quantized value at a time, in float64: what each must be, given the integers before it.

Whole networks cannot be compared this strictly: a value near a rounding tie falls to either side in FP32, and later layers
spread that. One layer can: away from ties the integers must be equal.
"""
import numpy as np
from onnx import helper, numpy_helper


def _along(parameter, rank, axis):
    """A scale or zero point so that it broadcasts over a value of that rank."""
    parameter = parameter.astype(np.float64)
    if parameter.size == 1:
        return parameter.reshape(())
    shape = [1] * rank
    shape[axis] = -1
    return parameter.reshape(shape)


def _windows(x, kernel, strides, pads, fill):
    """Every kernel position's strided view of x [n,c,h,w]: [(i, j, view)]."""
    x = np.pad(x, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])), constant_values=fill)
    h, w = ((x.shape[2 + a] - kernel[a]) // strides[a] + 1 for a in (0, 1))
    return [(i, j, x[:, :, i:i + strides[0] * h:strides[0], j:j + strides[1] * w:strides[1]])
            for i in range(kernel[0]) for j in range(kernel[1])]


def _conv(x, w, b, group=1, strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1), kernel_shape=None, auto_pad=b"NOTSET"):
    assert tuple(dilations) == (1, 1) and group in (1, x.shape[1]) and auto_pad == b"NOTSET"
    total = 0
    for i, j, view in _windows(x, w.shape[2:], strides, pads, 0):
        part = np.einsum("nchw,oc->nohw", view, w[:, :, i, j], optimize=True) if group == 1 else view * w[:, 0, i, j].reshape(1, -1, 1, 1)
        total = total + part
    return total if b is None else total + b.reshape(1, -1, 1, 1)


def _batch_norm(x, gamma, beta, mean, var, epsilon=1e-5, **_):
    gamma, beta, mean, var = (v.reshape(1, -1, 1, 1) for v in (gamma, beta, mean, var))
    return (x - mean) / np.sqrt(var + epsilon) * gamma + beta


OPERATORS = {
    "Conv": lambda x, w, b=None, **a: _conv(x, w, b, **a),
    "Gemm": lambda x, w, b=0, transB=0, **_: x @ (w.T if transB else w) + b,
    "MatMul": lambda a, b: a @ b,
    "BatchNormalization": _batch_norm,
    "Add": lambda a, b: a + b,
    "Relu": lambda x: np.maximum(x, 0),
    "Clip": lambda x, low, high: np.clip(x, low, high),
    "MaxPool": lambda x, kernel_shape, strides=(1, 1), pads=(0, 0, 0, 0), **_: np.max(
        [v for *_, v in _windows(x, kernel_shape, strides, pads, -np.inf)], axis=0),
    "GlobalAveragePool": lambda x: x.mean((2, 3), keepdims=True),
    "Flatten": lambda x, **_: x.reshape(len(x), -1),
    "Concat": lambda *x, axis: np.concatenate(x, axis),
}


class Exact:
    def __init__(self, model):
        self.constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
        self.makers = {output: node for node in model.graph.node for output in node.output}
        self.quantizers = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]

    def _parameters(self, node, rank):
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        return [_along(self.constants[name], rank, axis) for name in node.input[1:3]]

    def real(self, name, known):
        """The value in float64, out of `known` integers (and the model's inputs) and constants."""
        if name in known:
            return known[name].astype(np.float64)
        if name in self.constants:
            return self.constants[name].astype(np.float64)
        node = self.makers[name]
        inputs = [self.real(i, known) for i in node.input[:1 if node.op_type == "DequantizeLinear" else None] if i]
        if node.op_type == "DequantizeLinear":
            scale, zero_point = self._parameters(node, inputs[0].ndim)
            return (inputs[0] - zero_point) * scale
        return OPERATORS[node.op_type](*inputs, **{a.name: helper.get_attribute_value(a) for a in node.attribute})

    def before_rounding(self, quantizer, known):
        """What QuantizeLinear rounds, zero point included, and the range of its type."""
        x = self.real(quantizer.input[0], known)
        scale, zero_point = self._parameters(quantizer, x.ndim)
        bounds = np.iinfo(self.constants[quantizer.input[2]].dtype)
        return x / scale + zero_point, bounds.min, bounds.max
