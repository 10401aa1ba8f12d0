#!/usr/bin/env python3
"""What other codes than uniform ones in groups would give: the table of docs/methods/codebooks.md.

    scripts/weight_codes_study.py            prints it
    scripts/weight_codes_study.py --write    and replaces the one between the markers of the page
Rounds the products of stories260K.onnx (data pack) by GPTQ, every layer on what the original model reads there, and measures the
perplexity in ONNX Runtime. Uniform codes in groups are compared with: 16 or 8 codes per layer found by k-means, three and two
codes. All share this file's GPTQ, so that only the codes differ; narrow's own is better.
"""
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

import marked_table
import tinystories

PAGES = pathlib.Path(__file__).resolve().parent.parent / "docs" / "methods"
DAMPING = 0.03

MODEL = onnx.load(tinystories.MODEL)
CONSTANTS = {c.name: numpy_helper.to_array(c) for c in MODEL.graph.initializer}
LAYERS = {node.input[1]: node.input[0] for node in MODEL.graph.node if node.op_type == "MatMul" and node.input[1] in CONSTANTS}


def model_with(weights):
    model = onnx.ModelProto()
    model.CopyFrom(MODEL)
    for constant in model.graph.initializer:
        if constant.name in weights:
            constant.CopyFrom(numpy_helper.from_array(weights[constant.name].astype(np.float32), constant.name))
    return model


def hessians():
    """Of every layer: the mean of x x^T over the calibration data, damped."""
    names = sorted(set(LAYERS.values()))
    model = model_with({})
    for name in names:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    run = onnxruntime.InferenceSession(model.SerializeToString())
    values = dict(zip(names, run.run(names, {"tokens": tinystories.tokens("calib")})))
    result = {}
    for layer, name in LAYERS.items():
        x = values[name].reshape(-1, values[name].shape[-1]).astype(np.float64)
        h = x.T @ x / len(x)
        result[layer] = h + DAMPING * np.trace(h) / len(h) * np.eye(len(h))
    return result


def half(scale):
    return np.maximum(scale, 6.2e-5).astype(np.float16).astype(np.float64)


class Uniform:
    """2^bits codes, a scale in FP16 and a zero point of `bits` for every group; the least squared error of 11 ranges."""

    def __init__(self, bits, group):
        self.levels, self.group = 2**bits - 1, group
        self.bits = bits + (16 + bits) / group

    def prepare(self, _):
        return self

    def fit(self, x):
        low, high = np.minimum(x.min(0), 0), np.maximum(x.max(0), 0)
        best = np.full(x.shape[1], np.inf)
        found = np.ones((2, x.shape[1]))
        for share in np.linspace(0.6, 1, 11):
            scale = half(share * (high - low) / self.levels)
            zero = np.clip(np.round(-share * low / scale), 0, self.levels)
            error = ((self.round(x, (scale, zero)) - x)**2).sum(0)
            found[:, error < best] = np.stack([scale, zero])[:, error < best]
            best = np.minimum(best, error)
        return found

    def round(self, x, parameters):
        scale, zero = parameters
        return (np.clip(np.round(x / scale) + zero, 0, self.levels) - zero) * scale


class Codebook:
    """Codes of a list and a scale in FP16 for every group: of least squared error among 11."""

    def __init__(self, codes, bits, group):
        self.codes, self.group = np.sort(np.asarray(codes, np.float64)), group
        self.bits = bits + 16 / group

    def prepare(self, _):
        return self

    def fit(self, x):
        best, found = np.full(x.shape[1], np.inf), np.ones(x.shape[1])
        for share in np.linspace(0.3, 1, 15):
            scale = half(share * np.abs(x).max(0) / np.abs(self.codes).max())
            error = ((self.round(x, scale) - x)**2).sum(0)
            found = np.where(error < best, scale, found)
            best = np.minimum(best, error)
        return found

    def round(self, x, scale):
        return self.codes[np.abs(x[..., None] / scale[..., None] - self.codes).argmin(-1)] * scale


class KMeans(Codebook):
    """The codes of a layer: k-means of its weights, each divided by the largest of its group. 16 or 8 FP16 numbers a layer are not
    counted."""

    def __init__(self, bits, group):
        super().__init__([0, 1], bits, group)
        self.count = 2**bits

    def prepare(self, weights):
        x = np.sort(np.concatenate([(weights[k:k + self.group] / np.abs(weights[k:k + self.group]).max(0)).ravel()
                                    for k in range(0, len(weights), self.group)]))
        centres = np.quantile(x, (np.arange(self.count) + 0.5) / self.count)
        for _ in range(50):
            nearest = np.searchsorted((centres[1:] + centres[:-1]) / 2, x)
            counts = np.bincount(nearest, minlength=self.count)
            centres = np.where(counts > 0, np.bincount(nearest, x, self.count) / np.maximum(counts, 1), centres)
        self.codes = centres.astype(np.float16).astype(np.float64)
        return self


def gptq(weights, hessian, codes):
    inverse = np.linalg.inv(hessian)
    upper = np.linalg.cholesky(inverse).T
    codes = codes.prepare(weights)
    left, result = weights.astype(np.float64), np.zeros(weights.shape)
    for first in range(0, len(left), codes.group):
        last = min(len(left), first + codes.group)
        for k in range(first, last):
            if k == first:
                parameters = codes.fit(left[first:last])
            rounded = codes.round(left[k], parameters)
            result[k] = rounded
            left[k + 1:] -= np.outer(upper[k, k + 1:], (left[k] - rounded) / upper[k, k])
    return result


def measure(all_hessians, codes):
    return tinystories.perplexity(model_with(
        {layer: gptq(CONSTANTS[layer].astype(np.float64), all_hessians[layer], codes) for layer in LAYERS}))


def code_cases():
    """(row, codes)"""
    for bits in (4, 3):
        for group in (64, 32, 16):
            yield f"int{bits}, groups of {group}", Uniform(bits, group)
    for bits in (4, 3):
        for group in (64, 32, 16):
            yield f"{2**bits} codes by k-means, groups of {group}", KMeans(bits, group)
    for group in (32, 16):
        yield f"int2, groups of {group}", Uniform(2, group)
    for group in (32, 16):
        yield f"-1, 0, 1, groups of {group}", Codebook([-1, 0, 1], np.log2(3), group)
    yield "-1, 1, groups of 16", Codebook([-1, 1], 1, 16)


def table(all_hessians):
    lines = ["| codes | bits per weight | perplexity |", "| --- | ---: | ---: |"]
    for name, codes in code_cases():
        lines.append(f"| {name} | {codes.bits:.3f} | {measure(all_hessians, codes):.3f} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def main():
    text = table(hessians())
    print(text)
    if sys.argv[1:] == ["--write"]:
        marked_table.write(PAGES / "codebooks.md", "weight_codes_study.py", text)


if __name__ == "__main__":
    main()
