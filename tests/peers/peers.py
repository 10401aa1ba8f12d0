"""The peers: runtimes that answer, quantizers that write files, and how answers are compared."""
import tempfile

import numpy as np
import onnx
import onnxruntime

# ---------------------------------------------------------------- runtimes: (file, feeds) -> a dict of arrays per feed


def onnx_runtime(path, feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return [dict(zip(names, session.run(names, feed))) for feed in feeds]


def openvino(path, feeds):
    import openvino as ov
    core = ov.Core()
    model = core.read_model(str(path))
    # Fixed shapes: where the batch is open OpenVINO 2026.4 converts FP32 to bf16 by (bits + ((bits & 0x10000) >> 1)) >> 16, which
    # truncates a quarter of all values that should round up (docs/precisions/bf16.md).
    model.reshape({name: list(value.shape) for name, value in feeds[0].items()})
    # f32: on processors with bf16 the default computes float nodes in it.
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answers = [compiled(feed) for feed in feeds]
    # By position: an output that was merged with the value before it carries that name too.
    names = [output.name for output in onnx.load(str(path), load_external_data=False).graph.output]
    return [{name: np.array(answer[i]) for i, name in enumerate(names)} for answer in answers]


# ---------------------------------------------------------------- quantizers: (task, file to write)


def _reader(task):
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.feeds = iter(task.feeds("calib"))

        def get_next(self):
            return next(self.feeds, None)

    return Reader()


def _static(task, path, form, activations):
    from onnxruntime.quantization import QuantFormat, QuantType, quant_pre_process, quantize_static
    with tempfile.TemporaryDirectory() as folder:
        prepared = f"{folder}/prepared.onnx"
        quant_pre_process(str(task.model), prepared, skip_symbolic_shape=True)
        quantize_static(prepared, str(path), _reader(task), quant_format=QuantFormat[form], per_channel=True,
                        activation_type=QuantType[activations], weight_type=QuantType.QInt8)


def ort_qdq_u8s8(task, path):
    _static(task, path, "QDQ", "QUInt8")


def ort_qdq_s8s8(task, path):
    _static(task, path, "QDQ", "QInt8")


def ort_qoperator_u8s8(task, path):
    _static(task, path, "QOperator", "QUInt8")


def ort_qoperator_s8s8(task, path):
    _static(task, path, "QOperator", "QInt8")


def ort_dynamic(task, path):
    from onnxruntime.quantization import QuantType, quant_pre_process, quantize_dynamic
    with tempfile.TemporaryDirectory() as folder:
        prepared = f"{folder}/prepared.onnx"
        quant_pre_process(str(task.model), prepared, skip_symbolic_shape=True)
        # Convolutions too: u8 weights, the only ones ONNX Runtime's ConvInteger takes.
        quantize_dynamic(prepared, str(path), per_channel=False, weight_type=QuantType.QUInt8)


def gemm_as_matmul(model):
    """Gemm with constant weights as MatMul and Add: what MatMulNBits can take the place of."""
    constants = {i.name: i for i in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        weights = constants.get(node.input[1]) if node.op_type == "Gemm" else None
        if weights is None:
            nodes.append(node)
            continue
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        assert attributes == {"transB": 1} and len(node.input) == 3
        weights.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weights).T.copy(), weights.name))
        product = node.output[0] + "_product"
        nodes.append(onnx.helper.make_node("MatMul", node.input[:2], [product]))
        nodes.append(onnx.helper.make_node("Add", [product, node.input[2]], node.output))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _nbits(task, path, symmetric):
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    quantizer = MatMulNBitsQuantizer(gemm_as_matmul(onnx.load(task.model)), block_size=32, is_symmetric=symmetric)
    quantizer.process()
    quantizer.model.save_model_to_file(str(path))


def ort_int4_symmetric(task, path):
    _nbits(task, path, True)


def ort_int4_asymmetric(task, path):
    _nbits(task, path, False)


def nncf(task, path):
    import nncf as tool
    samples = [{task.input: sample[None]} for feed in task.feeds("calib") for sample in feed[task.input]]
    onnx.save(tool.quantize(onnx.load(task.model), tool.Dataset(samples), subset_size=len(samples)), path)


# ---------------------------------------------------------------- answers


def narrow_answers(narrow, path, feeds, folder):
    return [narrow.outputs(path, feed, folder) for feed in feeds]


def joined(answers, output):
    return np.concatenate([answer[output].astype(np.float64) for answer in answers])


def agreement(ours, theirs, axis):
    """Share of equal argmax along the classes; ties go to the lowest index in both."""
    output = next(iter(theirs[0]))
    return np.mean(joined(ours, output).argmax(axis) == joined(theirs, output).argmax(axis))


def cosine(ours, theirs):
    """The worst of all outputs."""
    pairs = [(joined(ours, name).ravel(), joined(theirs, name).ravel()) for name in theirs[0]]
    return min(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-30) for a, b in pairs)
