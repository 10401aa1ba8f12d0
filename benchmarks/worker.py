#!/usr/bin/env python3
"""One model in one other runtime, timed on request.

usage: worker.py SPEC      SPEC: JSON with runtime (ort, openvino), precision, file, feed (.npz) and threads

Says {"open_ms", "empty_mb", "peak_mb"} when the model has answered once: the time from the file to that answer, the
peak memory of this process, and what it was before the file was opened (Python, its packages, the inputs). Then every line of stdin is a number of seconds to
run for, answered by {"median_ms", "runs"} as `narrow bench` counts: two inferences in front are left out.
"""
import importlib
import json
import statistics
import sys
import time

import numpy as np  # and nothing else that is large: it would count as the runtime's memory

WARM_UP, LEAST_RUNS = 2, 3
PACKAGES = {"ort": "onnxruntime", "openvino": "openvino"}


def peak_mb() -> float:
    """Not ru_maxrss: that begins with the memory of the process that started this one."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


def open_ort(spec: dict, feed: dict[str, np.ndarray]):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = spec["threads"], 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    for name, size in spec["free"].items():
        options.add_free_dimension_override_by_name(name, size)
    session = onnxruntime.InferenceSession(spec["file"], options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, feed)


def open_openvino(spec: dict, feed: dict[str, np.ndarray]):
    import openvino
    core = openvino.Core()
    model = core.read_model(spec["file"])
    model.reshape({name: list(array.shape) for name, array in feed.items()})
    config = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": str(spec["threads"]),
              "ENABLE_CPU_PINNING": "NO"}
    if spec["precision"] != "int8":  # int8 leaves the rest to OpenVINO's default: bf16 where the processor has it
        config["INFERENCE_PRECISION_HINT"] = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}[spec["precision"]]
    request = core.compile_model(model, "CPU", config).create_infer_request()
    for name, array in feed.items():
        request.set_tensor(name, openvino.Tensor(array, shared_memory=True))
    return request.infer


OPEN = {"ort": open_ort, "openvino": open_openvino}


def timed(run, seconds: float) -> list[float]:
    for _ in range(WARM_UP):
        run()
    times, stop = [], time.perf_counter() + seconds
    while len(times) < LEAST_RUNS or time.perf_counter() < stop:
        start = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - start))
    return times


def main():
    spec = json.loads(sys.argv[1])
    with np.load(spec["feed"]) as arrays:
        feed = {name: arrays[name] for name in arrays.files}
    importlib.import_module(PACKAGES[spec["runtime"]])
    empty, start = peak_mb(), time.perf_counter()
    run = OPEN[spec["runtime"]](spec, feed)
    run()
    opened = 1e3 * (time.perf_counter() - start)
    print(json.dumps({"open_ms": opened, "empty_mb": empty, "peak_mb": peak_mb()}), flush=True)
    for line in sys.stdin:
        times = timed(run, float(line))
        print(json.dumps({"median_ms": statistics.median(times), "runs": len(times)}), flush=True)


if __name__ == "__main__":
    main()
