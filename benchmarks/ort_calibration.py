#!/usr/bin/env python3
"""ONNX Runtime's static quantization with one calibration method, on samples that are prepared already.

usage: ort_calibration.py MODEL.onnx SAMPLES.npz METHOD OUT.onnx      METHOD: minmax, percentile, entropy
       ort_calibration.py --imports                               does nothing more
"""
import pathlib
import sys

from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

import quantizers
import samples

METHODS = {"minmax": CalibrationMethod.MinMax, "percentile": CalibrationMethod.Percentile,
           "entropy": CalibrationMethod.Entropy}


def main():
    if sys.argv[1:] == ["--imports"]:
        return
    if len(sys.argv) != 5 or sys.argv[3] not in METHODS:
        raise SystemExit(__doc__)
    model, data, method, out = sys.argv[1:]
    feeds = samples.one_by_one(samples.load(pathlib.Path(data)))
    quantize_static(model, out, quantizers.Reader(feeds), quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, calibrate_method=METHODS[method])


if __name__ == "__main__":
    main()
