"""Models that the peers' own quantizers wrote run in narrow and answer as their maker does (ONNX Runtime on the same file)."""
import numpy as np
import onnx
import pytest

import peers
from exact import OPERATORS, Exact
from tasks import TASKS

STATIC = [peers.ort_qdq_u8s8, peers.ort_qdq_s8s8, peers.ort_qoperator_u8s8, peers.ort_qoperator_s8s8]
MATMUL = [peers.ort_int4_symmetric, peers.ort_int4_asymmetric]
CASES = [("digits", m) for m in [*STATIC, peers.ort_dynamic, *MATMUL, peers.nncf]]
CASES += [("resnet20_cifar10", m) for m in [*STATIC, peers.ort_dynamic, peers.nncf]]
CASES += [("mobilenet_v1_0.75", m) for m in [peers.ort_qdq_u8s8, peers.ort_qoperator_u8s8, peers.nncf]]
CASES += [("squeezenet1.1", m) for m in [peers.ort_qdq_s8s8, peers.ort_qoperator_u8s8, peers.nncf]]
CASES += [("stories260K", m) for m in [peers.ort_dynamic, *MATMUL, peers.nncf]]

# Where ties of the rounding decide more: dynamic scales of a language model (ONNX Runtime without its optimizations agrees
# with itself in 96.4 %), and NNCF's files, which ONNX Runtime computes in FP32 and narrow in integers
# (test_integers_differ_from_exact_arithmetic_only_at_ties says that nothing else differs).
LEAST_AGREEMENT = {("stories260K", peers.ort_dynamic): 0.98, ("mobilenet_v1_0.75", peers.nncf): 0.98,
                   ("squeezenet1.1", peers.nncf): 0.98}


def needs(maker):
    if maker is peers.nncf:
        pytest.importorskip("nncf", reason="scripts/python_env.sh nncf installs it (0.3 GB)")
    if maker in MATMUL:
        pytest.importorskip("onnx_ir", reason="scripts/python_env.sh peers installs it")
    if maker in STATIC or maker is peers.ort_dynamic:
        pytest.importorskip("sympy", reason="scripts/python_env.sh peers installs it")


def output_step(path):
    """The scale of the integers that the model's output is made of, or None when it was never integers."""
    model = onnx.load(path)
    constants = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}
    makers = {output: node for node in model.graph.node for output in node.output}
    node = makers[model.graph.output[0].name]
    while node.op_type in ("Flatten", "Reshape"):
        node = makers[node.input[0]]
    return float(constants[node.input[1]].flat[0]) if node.op_type == "DequantizeLinear" else None


def check_outputs(maker, path, ours, theirs):
    output = next(iter(theirs[0]))
    ours, theirs = peers.joined(ours, output), peers.joined(theirs, output)
    difference, step = np.abs(ours - theirs), output_step(path)
    if maker in MATMUL:  # FP32 sums in another order, over up to 172 products in a layer
        assert difference.max() <= 1e-5 * np.abs(theirs).max()
    elif step:  # stored integers: equal but for ties, which move a code by one, and what later layers make of that
        assert np.mean(difference > 1.01 * step) <= 0.01 and difference.max() <= 3.01 * step
    else:  # not stored as integers: as one of 255 steps over their range, on the root mean square
        assert np.sqrt(np.mean(difference**2)) <= (theirs.max() - theirs.min()) / 255


@pytest.mark.parametrize("task, maker", CASES, indirect=["task"], ids=lambda v: getattr(v, "__name__", v))
def test_quantized_models_answer_as_their_maker_does(narrow, quantized, tmp_path, task, maker):
    needs(maker)
    path, feeds = quantized(task, maker), task.feeds("eval")
    if maker is peers.ort_dynamic:
        feeds = feeds[:8]  # ConvInteger has no fast kernel here
    ours, theirs = peers.narrow_answers(narrow, path, feeds, tmp_path), peers.onnx_runtime(path, feeds)
    assert peers.agreement(ours, theirs, task.axis) >= LEAST_AGREEMENT.get((task.name, maker), 0.99)
    check_outputs(maker, path, ours, theirs)


@pytest.mark.parametrize("task, maker", [("digits", peers.ort_qdq_u8s8), ("digits", peers.ort_qdq_s8s8), ("digits", peers.nncf),
                                         ("mobilenet_v1_0.75", peers.ort_qdq_u8s8), ("mobilenet_v1_0.75", peers.nncf),
                                         ("squeezenet1.1", peers.nncf)],
                         indirect=["task"], ids=lambda v: getattr(v, "__name__", v))
def test_integers_differ_from_exact_arithmetic_only_at_ties(narrow, quantized, tmp_path, task, maker):
    needs(maker)
    path = quantized(task, maker)
    model = onnx.load(path)
    exact, few = Exact(model), {task.input: task.feeds("eval")[0][task.input][:6]}
    for node in exact.quantizers:
        kind = exact.constants[node.input[2]].dtype
        model.graph.output.append(onnx.helper.make_tensor_value_info(
            node.output[0], onnx.helper.np_dtype_to_tensor_dtype(kind), None))
    onnx.save(model, tmp_path / "all.onnx")
    known = {**narrow.outputs(tmp_path / "all.onnx", few, tmp_path), **few}
    for node in exact.quantizers:
        got = known.pop(node.output[0])
        y, low, high = exact.before_rounding(node, known)
        known[node.output[0]] = got
        # FP32: 2^-24 relative for each of some roundings. A float bias becomes an integer of the accumulator's scale, as in
        # ONNX Runtime: half of that scale, of which 64 make a step or more.
        away = np.abs(np.clip(y, low, high) - got) - 0.5
        assert away.max() <= 1 / 128 + 1e-3, node.output[0]
