#!/usr/bin/env python3
"""Makes one build of a model with another runtime's own tools.

usage: quantizers.py KIND MODEL.onnx SAMPLES.npz OUT_DIR [JUDGED.npz]      KIND: fused, half, u8s8, dynamic, nncf,
                                                                          nncf_bias, nncf_control
JUDGED.npz, of nncf_control: inputs, and `wanted`, the class each sample should be given.
"""
import logging
import pathlib
import sys

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quant_pre_process
from onnxruntime.quantization import quantize_dynamic, quantize_static

import samples


class Reader(CalibrationDataReader):
    """Hands ONNX Runtime one sample after another."""

    def __init__(self, feeds: list[dict[str, np.ndarray]]):
        self.feeds = iter(feeds)

    def get_next(self):
        return next(self.feeds, None)


def is_transformer(model: onnx.ModelProto) -> bool:
    """More matrix products than convolutions."""
    kinds = [node.op_type for node in model.graph.node]
    return kinds.count("MatMul") > kinds.count("Conv")


def pre_process(model: pathlib.Path, out: pathlib.Path):
    """Folds and fuses, as ONNX Runtime asks for in front of its quantization."""
    quant_pre_process(str(model), str(out), skip_symbolic_shape=True)


def u8s8(model: pathlib.Path, feeds: list, out: pathlib.Path):
    """Static Q/DQ: uint8 activations, int8 weights per channel, which suits its kernels for x86 best."""
    prepared = out / "prepared.onnx"
    pre_process(model, prepared)
    quantize_static(str(prepared), str(out / "model.onnx"), Reader(feeds), quant_format=QuantFormat.QDQ,
                    per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
    prepared.unlink()


def fused(model: pathlib.Path, feeds: list, out: pathlib.Path):
    """FP32 after ONNX Runtime's transformer optimizer: attention, layer norm and GELU as one operator each."""
    from onnxruntime.transformers import optimizer
    made = optimizer.optimize_model(str(model), model_type="bert", num_heads=0, hidden_size=0, opt_level=0)
    made.save_model_to_file(str(out / "model.onnx"))


def half(model: pathlib.Path, feeds: list, out: pathlib.Path):
    """Everything between the inputs and the outputs in FP16."""
    from onnxruntime.transformers import float16
    onnx.save(float16.convert_float_to_float16(onnx.load(model), keep_io_types=True), out / "model.onnx")


def dynamic(model: pathlib.Path, feeds: list, out: pathlib.Path):
    """The fused model with int8 weights; activations are quantized as they come."""
    fused(model, feeds, out)
    # type inference ends at the fused operators, hence DefaultTensorType
    quantize_dynamic(str(out / "model.onnx"), str(out / "model.onnx"), per_channel=True, weight_type=QuantType.QInt8,
                     extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})


def nncf(model: pathlib.Path, feeds: list, out: pathlib.Path, fast: bool = True):
    """OpenVINO's int8: post-training quantization by NNCF, by default with its fast bias correction."""
    import nncf
    import openvino
    made = nncf.quantize(openvino.Core().read_model(model), nncf.Dataset(feeds), subset_size=len(feeds),
                         fast_bias_correction=fast,
                         model_type=nncf.ModelType.TRANSFORMER if is_transformer(onnx.load(model)) else None)
    openvino.save_model(made, out / "model.xml", compress_to_fp16=False)


def nncf_bias(model: pathlib.Path, feeds: list, out: pathlib.Path):
    """Likewise, with its bias correction that runs the model anew for every layer."""
    nncf(model, feeds, out, fast=False)


def nncf_control(model: pathlib.Path, feeds: list, out: pathlib.Path, judged: pathlib.Path):
    """Likewise, layers put back to floats until the share of wanted classes falls by 0.01 at most."""
    import nncf
    import openvino
    answers = samples.load(judged)
    wanted = answers.pop("wanted")

    def share(compiled, data) -> float:
        return float(np.mean([int(np.argmax(compiled(feed)[0])) == label for feed, label in data]))

    made = nncf.quantize_with_accuracy_control(
        openvino.Core().read_model(model), nncf.Dataset(feeds), nncf.Dataset(list(zip(samples.one_by_one(answers), wanted))), share,
        max_drop=0.01, drop_type=nncf.DropType.ABSOLUTE, subset_size=len(feeds))
    openvino.save_model(made, out / "model.xml", compress_to_fp16=False)


KINDS = {make.__name__: make for make in (fused, half, u8s8, dynamic, nncf, nncf_bias, nncf_control)}


def main():
    if len(sys.argv) not in (5, 6) or sys.argv[1] not in KINDS:
        raise SystemExit(__doc__)
    kind, model, data, out, *judged = sys.argv[1], *map(pathlib.Path, sys.argv[2:])
    logging.disable(logging.WARNING)
    KINDS[kind](model, samples.one_by_one(samples.load(data)), out, *judged)


if __name__ == "__main__":
    main()
