"""The networks whose graphs the onnx package brings along without weights, with seeded random weights."""
import math
import pathlib
import zlib

import numpy as np
import onnx
from onnx import helper, numpy_helper

FOLDER = pathlib.Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
NAMES = ["squeezenet", "densenet121", "inception_v1", "shufflenet", "vgg19"]


class Weights:
    """Numbers by what reads them: such that activations keep their size from layer to layer."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)

    def normal(self, deviation: float, shape) -> np.ndarray:
        return self.rng.normal(0, deviation, shape).astype(np.float32)

    def around_one(self, shape) -> np.ndarray:
        return self.rng.uniform(0.8, 1.2, shape).astype(np.float32)

    def of(self, node: onnx.NodeProto, index: int, shape) -> np.ndarray:
        if node.op_type in ("Conv", "Gemm") and index == 1:
            fan_in = np.prod(shape[1:])
            return self.normal(math.sqrt((2 if node.op_type == "Conv" else 1) / fan_in), shape)
        if node.op_type == "BatchNormalization" and index in (1, 4) or node.op_type == "Mul":  # scale, variance
            return self.around_one(shape)
        return self.normal(0.05, shape)  # biases, means


def build(name: str) -> onnx.ModelProto:
    """Weights become initializers, batches the free dimension "N"; what only matters in training goes."""
    source = onnx.load(FOLDER / f"light_{name}.onnx").graph
    weights = Weights(zlib.crc32(name.encode()))
    known = {w.name: numpy_helper.to_array(w) for w in source.initializer}
    same = {}  # outputs that are another value
    kept, made = [], {}
    for node in source.node:
        inputs = [same.get(i, i) for i in node.input]
        if node.op_type == "ConstantOfShape":
            known[node.output[0]] = np.zeros(known[inputs[0]], np.float32)
        elif node.op_type == "Dropout":
            same[node.output[0]] = inputs[0]
        elif node.op_type in ("Unsqueeze", "Reshape") and inputs[0] in known:
            axes = next((tuple(a.ints) for a in node.attribute if a.name == "axes"), None)
            value = known[inputs[0]]
            known[node.output[0]] = np.expand_dims(value, axes) if axes else value.reshape(known[inputs[1]])
        else:
            new = onnx.NodeProto()
            new.CopyFrom(node)
            new.input[:] = inputs
            for index, value in enumerate(inputs):
                if value in known and value not in made:
                    made[value] = (batch_free(known[value]) if node.op_type == "Reshape"
                                   else weights.of(node, index, known[value].shape))
            kept.append(modern(new))
    data = next(i.name for i in source.input if i.name not in known)
    result = same.get(source.output[0].name, source.output[0].name)
    extents = [d.dim_value for d in source.output[0].type.tensor_type.shape.dim]
    graph = helper.make_graph(
        kept, name, [helper.make_tensor_value_info(data, onnx.TensorProto.FLOAT, ["N", 3, 224, 224])],
        [helper.make_tensor_value_info(result, onnx.TensorProto.FLOAT, ["N", *extents[1:]])],
        [numpy_helper.from_array(value, key) for key, value in made.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def batch_free(shape: np.ndarray) -> np.ndarray:
    """0, the extent that is there, in place of the batch."""
    return np.array([0, *shape[1:]], np.int64)


def modern(node: onnx.NodeProto) -> onnx.NodeProto:
    """The same in opset 17."""
    if node.op_type == "Softmax":
        del node.attribute[:]
        node.attribute.append(helper.make_attribute("axis", 1))
    if node.op_type == "Sum" and len(node.input) == 2:
        node.op_type = "Add"
    return node
