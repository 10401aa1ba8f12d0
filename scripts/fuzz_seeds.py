#!/usr/bin/env python3
"""Writes seed corpora for the fuzz targets: scripts/fuzz_seeds.py FOLDER makes FOLDER/TARGET/*.

Made from the examples and the pass tests, and from small files written here; nothing but Python's own library.
"""
import base64
import hashlib
import io
import json
import pathlib
import re
import struct
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
JPEGS = [
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1tdhbWGkJ6j"
    "q62rZ4C8ybqmx5moq6T/2wBDARweHigjKE4rK06kbl1upKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSk"
    "pKSkpKSkpKT/wAARCAAIAAgDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAT/xAAXEAEAAwAAAAAAAAAAAAAAAAAAAgVi"
    "/8QAFAEBAAAAAAAAAAAAAAAAAAAAAP/EABQRAQAAAAAAAAAAAAAAAAAAAAD/2gAMAwEAAhEDEQA/AJYVOQAf/9k=",
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1tdhbWGkJ6j"
    "q62rZ4C8ybqmx5moq6T/wgALCAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAA//aAAgBAQAAAAEv/8QAFRABAQAAAAAAAAAA"
    "AAAAAAAAABP/2gAIAQEAAQUCk//EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEABj8Cf//EABYQAAMAAAAAAAAAAAAAAAAAAAAB"
    "Yf/aAAgBAQABPyFSf//aAAgBAQAAABB//8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABPxBP/9k=",
]


def graphs():
    for path in sorted((ROOT / "tests/passes").glob("*/*.nir")):
        for i, text in enumerate(re.findall(r"^graph .*?^}\n", path.read_text(), re.M | re.S)):
            yield f"{path.parent.name}-{path.stem}-{i}", text.encode()


# The constants of artifact()'s header.
PACKED = b'''graph g(%x: f32[1,16]) {
  @v: s8[3,8,3,3] = packed 0
  @w: f32[16,9] = packed 1
  @s: s8[16,16] = packed 2
  @t: u4[16,16] = packed 3
  %y: f32[1,9] = MatMul(%x, @w)
  return %y as "y", @v as "v", @s as "s", @t as "t"
}
'''


def ports(text):
    """The header's "inputs" and "outputs" of a graph whose values have plain names."""
    types = dict(re.findall(r"%([\w./]+): (\w+(?:\[[^\]]*\])?(?:<[^>]*>)?)", text))
    types |= {f"@{name}": kind for name, kind in re.findall(r"@([\w./]+): (\w+\[[^\]]*\](?:<[^>]*>)?) =", text)}
    inputs = re.findall(r"%([\w./]+):", text[:text.index("{")])
    returned = re.findall(r"([%@])([\w./]+) as \"([^\"]*)\"", text[text.rindex("return"):])
    return {"inputs": [{"name": name, "type": types[name]} for name in inputs],
            "outputs": [{"name": name, "type": types.get(value if kind == "%" else f"@{value}", "undefined")}
                        for kind, value, name in returned]}


def format_version():
    """The last byte of the magic."""
    return int(re.search(r"kMagic = .*'\\(\d+)'}", (ROOT / "src/artifact/container.h").read_text())[1], 8)


def artifact(text):
    """Fixed part, padding to 4096, blob, graph, header; the target sets the checksum itself."""
    blob = bytes(range(128)) + bytes(64 * 64)
    header = {"format": "narrow", "about": {"recipe": {"nodes": {}}}, **ports(text.decode()),
              "packed": [{"kernel": "conv_int8_avx2", "dtype": "s8", "dims": [3, 8, 3, 3, 1, 1, 1], "parts": [128, 0]},
                         {"kernel": "conv_f32_avx2", "dtype": "f32", "dims": [9, 16, 1, 1, 1, 1, 1], "parts": [0], "transposed": True},
                         {"sparse": "mask", "dtype": "s8", "shape": [16, 16], "bits": 8, "axis": 0, "run": 1, "mask": 0, "kept": 128},
                         {"sparse": "two of four", "dtype": "u4", "shape": [16, 16], "bits": 4, "axis": 1, "run": 1, "mask": 128,
                          "kept": 192, "fill": {"offset": 0, "shape": [2, 16], "bits": 4, "axis": 0, "block": 8}}],
              "blob": {"offset": 4096, "size": len(blob)}, "graph": {"offset": 4096 + len(blob), "size": len(text)},
              "engine": {"offset": 4096 + len(blob), "size": len(text), "shapes": {"x": [1, 16]}}}
    encoded = json.dumps(header).encode()
    encoded += b" " * (1 if (4096 + len(blob) + len(text) + len(encoded)) % 16 == 0 else 0)
    fixed = b"NARROW\0" + bytes([format_version()]) + struct.pack("<QQQ", 4096 + len(blob) + len(text), len(encoded), 0)
    return fixed.ljust(4096, b"\0") + blob + text + encoded


# ---------------------------------------------------------------- ONNX: as much of protobuf as a model needs


def varint(n):
    n &= 2**64 - 1
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def attribute(name, value):
    if isinstance(value, list):
        return field(1, name) + b"".join(field(8, v) for v in value) + field(20, 7)
    number, kind = {int: (3, 2), float: (2, 1), str: (4, 3)}[type(value)]
    return field(1, name) + field(number, value) + field(20, kind)


def tensor(name, values, dims=None):
    floats = any(isinstance(v, float) for v in values)
    raw = b"".join(struct.pack("<f" if floats else "<q", v) for v in values)
    dims = [len(values)] if dims is None else dims
    return (b"".join(field(1, d) for d in dims) + field(2, 1 if floats else 7) + field(8, name) + field(9, raw))


def value(name, dims, kind=1):
    shape = b"".join(field(1, field(2, d) if isinstance(d, str) else field(1, d)) for d in dims)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, shape)))


def model(nodes, initializers=(), dims=(1, 2, 4, 4), opset=17):
    graph = b""
    for op, inputs, outputs, attributes in nodes:
        node = b"".join(field(1, i) for i in inputs) + b"".join(field(2, o) for o in outputs) + field(4, op)
        graph += field(1, node + b"".join(field(5, attribute(k, v)) for k, v in attributes.items()))
    graph += field(2, "g") + b"".join(field(5, i) for i in initializers)
    graph += field(11, value("x", dims)) + field(12, field(1, nodes[-1][2][0]))
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, opset))


def models():
    ones = [1.0] * 4
    yield "conv", model([("Conv", ["x", "w"], ["c"], {"pads": [0, 0, 0, 0], "strides": [1, 1], "group": 1}),
                         ("Relu", ["c"], ["y"], {})], [tensor("w", ones, [2, 2, 1, 1])])
    yield "batchnorm", model([("Conv", ["x", "w"], ["c"], {"auto_pad": "SAME_UPPER", "dilations": [1, 1]}),
                              ("BatchNormalization", ["c", "s", "s", "s", "s"], ["y"], {"epsilon": 1e-5})],
                             [tensor("w", ones, [2, 2, 1, 1]), tensor("s", [1.0, 2.0])])
    yield "matmul", model([("MatMul", ["x", "w"], ["m"], {}), ("Add", ["m", "b"], ["y"], {})],
                          [tensor("w", ones * 2, [4, 2]), tensor("b", [1.0, 2.0])], ["N", 4])
    yield "gemm", model([("Gemm", ["x", "w"], ["y"], {"transB": 1, "alpha": 2.0})], [tensor("w", ones, [1, 4])], [3, 4])
    shapes = {"Expand": [2, 2, 4, 4], "Tile": [1, 2, 1, 1], "Reshape": [0, -1], "Pad": [0, 0, 1, 1, 0, 0, 1, 1]}
    for op, shape in shapes.items():
        yield op.lower(), model([(op, ["x", "s"], ["y"], {})], [tensor("s", shape)])
    yield "constant_of_shape", model([("ConstantOfShape", ["s"], ["c"], {}), ("Add", ["x", "c"], ["y"], {})],
                                     [tensor("s", [1, 2, 4, 4])])
    yield "range", model([("Range", ["a", "b", "d"], ["r"], {}), ("Gather", ["x", "r"], ["y"], {"axis": 2})],
                         [tensor("a", [0], []), tensor("b", [4], []), tensor("d", [1], [])])
    yield "slice", model([("Slice", ["x", "a", "b", "c", "d"], ["y"], {})],
                         [tensor(n, [v]) for n, v in zip("abcd", (0, 2, 3, 1))])
    yield "resize", model([("Resize", ["x", "", "s"], ["y"], {"mode": "linear"})], [tensor("s", [1.0, 1.0, 2.0, 2.0])])
    yield "shape", model([("Shape", ["x"], ["s"], {}), ("Gather", ["s", "i"], ["d"], {"axis": 0}),
                          ("Concat", ["d", "m"], ["t"], {"axis": 0}), ("Reshape", ["x", "t"], ["y"], {})],
                         [tensor("i", [0]), tensor("m", [-1])], ["N", 2, 4])
    yield "quantize", model([("QuantizeLinear", ["x", "s"], ["q"], {}), ("DequantizeLinear", ["q", "s"], ["y"], {})],
                            [tensor("s", [0.5], [])])
    for op in ("Split", "Softmax", "ReduceMean", "Transpose", "MaxPool", "AveragePool", "Squeeze", "Einsum", "TopK",
               "CumSum", "OneHot", "GatherND", "ScatterND", "DepthToSpace", "LSTM", "ConvTranspose", "If"):
        attributes = {"MaxPool": {"kernel_shape": [2, 2]}, "AveragePool": {"kernel_shape": [2, 2]},
                      "Einsum": {"equation": "abcd->adcb"}, "DepthToSpace": {"blocksize": 1}}.get(op, {})
        yield op.lower(), model([(op, ["x"] + (["w"] if op not in ("MaxPool", "Transpose") else []), ["y"], attributes)],
                                [tensor("w", [1])], opset=13)


# ---------------------------------------------------------------- data


def npy(descr, shape, payload, fortran=False):
    text = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text) + 1) + text + b"\n" + payload


def npz(method):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in arrays().items():
            archive.writestr(zipfile.ZipInfo(name + ".npy"), data, compress_type=method)
    return out.getvalue()


def arrays():
    return {"x": npy("<f4", (2, 3), bytes(24)), "f": npy("<i8", (2, 2), bytes(range(32)), True),
            "b": npy("|b1", (3,), b"\0\1\2"), "h": npy("<f2", (), b"\0\0")}


def calibration():
    entry = {"min": -1.0, "max": 1.5, "limit": 2.0, "count": 30, "zeros": 3, "non_finite": 0,
             "bins": [-1024, 10, -1000, 15, 5], "channel_min": [-1.0], "channel_max": [1.5], "channel_mean": [0.1]}
    document = {"kind": "narrow calibration", "version": 1, "model": "00", "data": "11", "samples": 2, "values": {"x": entry}}
    return json.dumps(document).encode()


TOMLS = [
    b'kind = "images"\nroot = "."\nfiles = "*/*.jpg"\nsize = [224, 224]\nchannels = "BGR"\nlayout = "NHWC"\n'
    b'scale = 0.017\nmean = [1.0, 2, 3]\nstd = [1, 2, 3.5]\nlabels = "labels.csv"\nmetric = "top1"\n',
    b'kind = "tensors"\nfiles = "*.npz"\ninput = "x"\nnext_token = "tokens"\ntargets = ["y", "z"]\n',
]


def kernel_choices():
    """Bytes that choose cases (any do), and cases as text."""
    for i in range(64):
        yield f"choices-{i}", hashlib.shake_128(bytes([i])).digest(96)
    lines = (ROOT / "src/kernel_cases/regressions.txt").read_text().splitlines()
    for i, line in enumerate(line for line in lines if line and not line.startswith("#")):
        yield f"text-{i}", line.partition(": ")[2].encode() or line.encode()


def corpora():
    texts = dict(graphs())
    return {
        "text": texts,
        "artifact": {name: artifact(text) for name, text in [*list(texts.items())[::12], ("packed", PACKED)]},
        "onnx": dict(models()),
        "calibration": {"one": calibration()},
        "dataset": {f"{i}": t for i, t in enumerate(TOMLS + [p.read_bytes() for p in (ROOT / "examples").glob("*/*.toml")])},
        "npz": {**arrays(), "stored": npz(zipfile.ZIP_STORED), "deflated": npz(zipfile.ZIP_DEFLATED)},
        "kernels": dict(kernel_choices()),
        "jpeg": {f"{i}": base64.b64decode(j) for i, j in enumerate(JPEGS)},
    }


def main():
    folder = pathlib.Path(sys.argv[1])
    for target, seeds in corpora().items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for name, content in seeds.items():
            (folder / target / name).write_bytes(content)


if __name__ == "__main__":
    main()
