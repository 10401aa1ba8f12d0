#!/usr/bin/env python3
"""Photos as arrays, prepared as narrow prepares them: the values other tools calibrate on.

usage: photos.py MODEL.onnx DATASET.toml OUT.npz      DATASET.toml: kind "images" of docs/data.md
"""
import pathlib
import sys
import tomllib

import numpy as np
import onnx
from PIL import Image

import samples

MODES = {"RGB": "RGB", "BGR": "RGB", "GRAY": "L"}


def size_of(model_input: onnx.ValueInfoProto, layout: str) -> tuple[int, int]:
    """Height and width, where the dataset names none."""
    c_first = layout == "NCHW"
    dims = samples.sample_shape(model_input)
    return (dims[1], dims[2]) if c_first else (dims[0], dims[1])


def prepare(path: pathlib.Path, size: tuple[int, int], about: dict) -> np.ndarray:
    """(pixel * scale - mean) / std, resized bilinearly with antialiasing, which is Pillow's BILINEAR."""
    channels = about.get("channels", "RGB")
    with Image.open(path) as photo:
        pixels = np.asarray(photo.convert(MODES[channels]).resize(size[::-1], Image.Resampling.BILINEAR), np.float32)
    pixels = pixels.reshape(*size, -1)
    if channels == "BGR":
        pixels = pixels[..., ::-1]
    mean, std = np.float32(about.get("mean", 0)), np.float32(about.get("std", 1))
    values = (pixels * np.float32(about.get("scale", 1)) - mean) / std
    return values if about.get("layout") == "NHWC" else values.transpose(2, 0, 1)


def main():
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    model, dataset, out = map(pathlib.Path, sys.argv[1:])
    about = tomllib.loads(dataset.read_text())
    if about["kind"] != "images":
        raise SystemExit(f"{dataset}: expected kind \"images\", got \"{about['kind']}\"")
    inputs = {i.name: i for i in samples.inputs_of(onnx.load(model))}
    name = about.get("input") or next(iter(inputs))
    size = tuple(about.get("size") or size_of(inputs[name], about.get("layout", "NCHW")))
    files = sorted((dataset.parent / about.get("root", ".")).glob(about.get("files", "*.jpg")))
    np.savez(out, **{name: np.stack([prepare(file, size, about) for file in files])})
    print(len(files))


if __name__ == "__main__":
    main()
