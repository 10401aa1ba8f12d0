#!/usr/bin/env python3
"""int4 of narrow against ONNX Runtime's and NNCF's weight-only quantizers: the table of docs/precisions/weight-only.md.

    scripts/weight_only_peers.py            prints it
    scripts/weight_only_peers.py --write    and replaces it between the markers of the page
Quantizes stories260K.onnx (data pack) with every tool that is installed here (scripts/python_env.sh peers nncf torch), on the same calibration
data, and measures the perplexity of every file in ONNX Runtime. What is missing is left out and named. NARROW_BINARY and NARROW_DATA
name another binary and another data pack than build/release/narrow and ../shared/data.
"""
import logging
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnx.version_converter

import marked_table
import tinystories

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = pathlib.Path(os.environ.get("NARROW_BINARY", ROOT / "build" / "release" / "narrow"))
DATA = tinystories.DATA
PAGE = ROOT / "docs" / "precisions" / "weight-only.md"
MODEL = tinystories.MODEL
SCALE_BITS = 16  # of a scale, and of a zero point that is not a code, whatever a file stores


CALIBRATION = tinystories.tokens("calib")


def bits_per_weight(model):
    """Codes, scales and zero points of the products' weights, per weight of the original."""
    original = onnx.load(MODEL)
    constants = {c.name: c for c in original.graph.initializer}
    weights = sum(int(np.prod(constants[n.input[1]].dims)) for n in original.graph.node
                  if n.op_type == "MatMul" and n.input[1] in constants)
    stored = {c.name: c for c in model.graph.initializer}
    maker = {output: node for node in model.graph.node for output in node.output}

    def constant(name):
        while name not in stored:  # behind a Cast
            name = maker[name].input[0]
        return stored[name]

    def bits(name):
        c = constant(name)
        count = int(np.prod(c.dims))
        if c.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16):
            return count * SCALE_BITS
        return count * (4 if c.data_type in (onnx.TensorProto.INT4, onnx.TensorProto.UINT4) else 8)

    def weight_dequantize(name):
        node = maker.get(name)
        while node is not None and node.op_type in ("Reshape", "Cast", "Transpose"):
            node = maker.get(node.input[0])
        return node if node is not None and node.op_type == "DequantizeLinear" else None

    total = 0
    for node in model.graph.node:
        if node.op_type == "MatMulNBits":
            total += sum(bits(name) for name in node.input[1:4] if name)
        elif node.op_type == "MatMul" and (dequantize := weight_dequantize(node.input[1])) is not None:
            total += sum(bits(name) for name in dequantize.input if name)
        elif node.op_type == "MatMul" and node.input[1] in stored:
            total += 32 * int(np.prod(stored[node.input[1]].dims))
    return total / weights


def narrow(recipe, group):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "int4.onnx"
        data = [] if recipe in ("nearest", "hqq") else ["--data", DATA / "datasets" / "tinystories-calib.toml"]
        done = subprocess.run([BINARY, "quantize", MODEL, "--precision", "int4", "--recipe", recipe, "--group-size", str(group),
                               "--out", file, "--quiet", *data], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        return onnx.load(file)


def onnx_runtime(method, group):
    from onnxruntime.quantization import CalibrationDataReader, matmul_nbits_quantizer as nbits

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.left = iter([{"tokens": CALIBRATION[i:i + 1]} for i in range(len(CALIBRATION))])

        def get_next(self):
            return next(self.left, None)

    config = {"RTN": lambda: nbits.DefaultWeightOnlyQuantConfig(block_size=group, is_symmetric=False, accuracy_level=1),
              "k-quant": lambda: nbits.KQuantWeightOnlyQuantConfig(),
              "HQQ": lambda: nbits.HQQWeightOnlyQuantConfig(block_size=group, bits=4),
              "GPTQ": lambda: nbits.GPTQWeightOnlyQuantConfig(calibration_data_reader=Reader(), block_size=group)}[method]()
    quantizer = nbits.MatMulNBitsQuantizer(onnx.load(MODEL), block_size=group, is_symmetric=False, accuracy_level=1, algo_config=config)
    quantizer.process()
    return quantizer.model.model


def nncf(methods, group):
    import nncf as tool
    tool.set_log_level("ERROR")
    gathers = [n.name for n in onnx.load(MODEL).graph.node if n.op_type == "Gather"]
    model = onnx.version_converter.convert_version(onnx.load(MODEL), 21)
    # Rows that no group size divides are left to NNCF: bits per weight show what it does with them.
    advanced = tool.AdvancedCompressionParameters(group_size_fallback_mode=tool.GroupSizeFallbackMode.ADJUST)
    return tool.compress_weights(model, mode=tool.CompressWeightsMode.INT4_ASYM, group_size=group, ratio=1.0, all_layers=True,
                                 ignored_scope=tool.IgnoredScope(names=gathers, validate=False),
                                 dataset=tool.Dataset([{"tokens": CALIBRATION[i:i + 1]} for i in range(len(CALIBRATION))])
                                 if methods else None, advanced_parameters=advanced, subset_size=len(CALIBRATION), **{m: True for m in methods})


def candidates(group):
    for recipe in ("nearest", "hqq", "gptq"):
        yield f"narrow, {recipe}", lambda recipe=recipe: narrow(recipe, group)
    for method in ("RTN", "HQQ", "k-quant", "GPTQ"):
        yield f"ONNX Runtime, {method}", lambda method=method: onnx_runtime(method, group)
    for methods in ((), ("awq",), ("scale_estimation",), ("awq", "scale_estimation"), ("gptq",)):
        yield "NNCF" + "".join(f", {m}" for m in methods).replace("_", " "), lambda methods=methods: nncf(methods, group)


def main():
    logging.disable(logging.INFO)
    lines = ["| int4 by | groups of | bits per weight | perplexity |", "| --- | ---: | ---: | ---: |"]
    for group in (16, 32, 64):
        for name, make in candidates(group):
            try:
                model = make()
                row = f"| {name} | {group} | {bits_per_weight(model):.3f} | {tinystories.perplexity(model):.3f} |"
            except Exception as error:  # pylint: disable=broad-except
                print(f"{name}, groups of {group}: left out: {str(error).splitlines()[0] if str(error) else repr(error)}", file=sys.stderr)
                continue
            lines.append(row)
            print(row, file=sys.stderr, flush=True)
    text = "\n".join(lines)
    print(text)
    if sys.argv[1:] == ["--write"]:
        marked_table.write(PAGE, "weight_only_peers.py", text)


if __name__ == "__main__":
    main()
