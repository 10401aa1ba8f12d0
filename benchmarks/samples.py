"""Inputs of a benchmark: {input name: array}, the first axis is the sample, as in the .npz files narrow reads."""
import pathlib

import numpy as np
import onnx

LENGTH = 128  # what free dimensions other than the batch become, as `narrow bench --length` has it


def inputs_of(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    weights = {w.name for w in model.graph.initializer}
    return [i for i in model.graph.input if i.name not in weights]


def sample_shape(value: onnx.ValueInfoProto) -> list[int]:
    return [d.dim_value or LENGTH for d in value.type.tensor_type.shape.dim][1:]


def free_dimensions(model: onnx.ModelProto, batch: int) -> dict[str, int]:
    """What each named dimension of the inputs becomes."""
    shapes = [i.type.tensor_type.shape.dim for i in inputs_of(model)]
    free = {d.dim_param: LENGTH for dims in shapes for d in dims[1:] if d.dim_param}
    return free | {dims[0].dim_param: batch for dims in shapes if dims[0].dim_param}


def random_samples(model: onnx.ModelProto, count: int, seed: int) -> dict[str, np.ndarray]:
    """Floats are normal, integers that index a table are one of its rows, other integers (masks) are one."""
    rng = np.random.default_rng(seed)
    rows = {w.name: w.dims[0] for w in model.graph.initializer if w.dims}
    tables = {n.input[1]: rows[n.input[0]] for n in model.graph.node if n.op_type == "Gather" and n.input[0] in rows}
    samples = {}
    for value in inputs_of(model):
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        shape = [count, *sample_shape(value)]
        if np.issubdtype(dtype, np.floating):
            samples[value.name] = rng.standard_normal(shape).astype(dtype)
        else:
            upper = tables.get(value.name)
            samples[value.name] = rng.integers(0, upper, shape, dtype) if upper else np.ones(shape, dtype)
    return samples


def load(path: pathlib.Path) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def load_for(model: onnx.ModelProto, path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of the file that are inputs of the model; labels and the like stay behind."""
    arrays, names = load(path), [i.name for i in inputs_of(model)]
    if missing := [name for name in names if name not in arrays]:
        raise SystemExit(f"{path}: no array for the inputs {', '.join(missing)}; it holds {', '.join(arrays)}")
    return {name: arrays[name] for name in names}


def one_by_one(samples: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    count = len(next(iter(samples.values())))
    return [{name: array[i : i + 1] for name, array in samples.items()} for i in range(count)]


def batch_of(samples: dict[str, np.ndarray], batch: int) -> dict[str, np.ndarray]:
    """The first `batch` samples, from the start again when there are fewer."""
    return {name: np.take(array, np.arange(batch), axis=0, mode="wrap") for name, array in samples.items()}
