"""Number formats: the onnx package's own cases of Cast, CastLike and the quantized operators, and constants of every type.

Values are compared as equal. In .npz, types NumPy lacks are wider: floats as float32, integers as int8 and uint8.
"""
import warnings

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

CASTS = {"Cast", "CastLike"}
QUANTIZED = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger",
             "MatMulInteger"}
FLOATS = ["FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "FLOAT4E2M1"]
INTEGERS = ["INT8", "UINT8", "INT16", "UINT16", "INT32", "INT64", "INT4", "UINT4", "INT2", "UINT2"]


def wider(value):
    """As an .npz holds it."""
    array = numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)
    if array.dtype.isbuiltin == 1:
        return array
    name = array.dtype.name
    return array.astype(np.int8 if name.startswith("int") else np.uint8 if name.startswith("uint") else np.float32)


@pytest.fixture(scope="module")
def cases():
    from onnx.backend.test.case.node import collect_testcases
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [case for case in collect_testcases(None) if case.model is not None and case.data_sets]


def answers(narrow, folder, model, feeds):
    onnx.save(model, folder / "model.onnx")
    return narrow.outputs(folder / "model.onnx", {name: wider(value) for name, value in feeds.items()}, folder)


def wrong(narrow, case, folder):
    """What differs from the case's outputs, or nothing."""
    inputs, outputs = case.data_sets[0]
    graph = case.model.graph
    try:
        got = answers(narrow, folder, case.model, {i.name: a for i, a in zip(graph.input, inputs)})
        for output, expected in zip(graph.output, outputs):
            actual, expected = got[output.name], wider(expected)
            assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
            if actual.dtype.kind == "f" and QUANTIZED & {node.op_type for node in graph.node}:
                np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=0)  # a scale, within a rounding
            else:
                np.testing.assert_array_equal(actual, expected)
    except AssertionError as difference:
        return f"{case.name}: {str(difference)[-300:]}"
    return None


@pytest.mark.parametrize("operator, least", [("Cast", 116), ("CastLike", 56), ("quantized", 45)])
def test_cases_of_the_onnx_package(narrow, cases, tmp_path, operator, least):
    family = QUANTIZED if operator == "quantized" else {operator}
    mine = [case for case in cases if {node.op_type for node in case.model.graph.node} & family
            and all(node.op_type in CASTS | QUANTIZED or operator == "quantized" for node in case.model.graph.node)]
    failed = [text for case in mine if (text := wrong(narrow, case, tmp_path))]
    assert not failed, f"{len(failed)} of {len(mine)}\n" + "\n".join(failed)
    assert len(mine) >= least


def constant_model(tensors):
    """Every constant cast to float32, an output each."""
    nodes = [helper.make_node("Cast", [t.name], [f"{t.name}_f"], to=TensorProto.FLOAT) for t in tensors]
    outputs = [helper.make_tensor_value_info(f"{t.name}_f", TensorProto.FLOAT, list(t.dims)) for t in tensors]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    nodes.append(helper.make_node("Relu", ["x"], ["y"]))
    outputs.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1]))
    graph = helper.make_graph(nodes, "constants", [x], outputs, initializer=tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)], ir_version=11)


@pytest.mark.parametrize("stored", ["raw", "fields", "external"])
def test_constants_of_every_type_load(narrow, tmp_path, stored):
    values = {**{name: [0, 0.5, -1, 1.5, 2, -3, 4] for name in FLOATS}, "FLOAT8E8M0": [0.25, 0.5, 1, 2, 4, 8, 1024],
              **{name: [1, 0, 1, 1, 0] if name[-1] == "2" and name[-2] == "T" else [3, 1, 7, 0, 5] for name in INTEGERS}}
    tensors = []
    for name, numbers in values.items():
        code = getattr(TensorProto, name)
        array = np.array(numbers, np.float32).astype(helper.tensor_dtype_to_np_dtype(code))
        tensor = numpy_helper.from_array(array, name)
        if stored == "fields":
            tensor = helper.make_tensor(name, code, array.shape, array)
            assert not tensor.raw_data
        tensors.append(tensor)
    model = constant_model(tensors)
    onnx.save(model, tmp_path / "model.onnx", save_as_external_data=stored == "external", size_threshold=0)
    got = narrow.outputs(tmp_path / "model.onnx", {"x": np.ones(1, np.float32)}, tmp_path)
    for name, numbers in values.items():
        assert got[f"{name}_f"].tolist() == numbers, name


@pytest.mark.parametrize("source", FLOATS + INTEGERS)
def test_every_type_casts_into_every_other(narrow, tmp_path, source):
    """Small whole numbers survive every cast."""
    targets = FLOATS + INTEGERS
    code = getattr(TensorProto, source)
    nodes = [helper.make_node("Cast", ["x"], [name], to=getattr(TensorProto, name)) for name in targets if name != source]
    outputs = [helper.make_tensor_value_info(n.output[0], getattr(TensorProto, n.output[0]), [2]) for n in nodes]
    graph = helper.make_graph(nodes, "casts", [helper.make_tensor_value_info("x", code, [2])], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)], ir_version=11)
    wide = np.array([0, 1], np.float32 if source in FLOATS else np.uint8 if source[0] == "U" else np.int8)
    for name, array in answers(narrow, tmp_path, model, {"x": wide}).items():
        assert array.tolist() == [0, 1], name


@pytest.mark.parametrize("name, numbers", [("FLOAT8E4M3FN", [1.03]), ("FLOAT4E2M1", [5.0]), ("INT4", [8]), ("UINT2", [4])])
def test_inputs_that_a_narrow_type_cannot_hold_are_refused(narrow, tmp_path, name, numbers):
    code = getattr(TensorProto, name)
    graph = helper.make_graph([helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)], "narrow",
                              [helper.make_tensor_value_info("x", code, [1])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)], ir_version=11), tmp_path / "model.onnx")
    np.savez(tmp_path / "in.npz", x=np.array(numbers, np.float32 if name in FLOATS else np.int8))
    done = narrow("run", tmp_path / "model.onnx", "--input", tmp_path / "in.npz", "--output", tmp_path / "out.npz", code=1)
    assert "input 'x'" in done.stderr
