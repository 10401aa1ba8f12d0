"""Models with state: calibrated, judged and timed over a sequence whose states the data does not hold."""
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from conftest import onnx_runtime

FRAMES, WIDTH, HIDDEN = 60, 12, 16


@pytest.fixture(scope="module")
def denoiser(tmp_path_factory):
    """y, h' = a GRU over one frame and a mask; samples are frames of one recording."""
    folder = tmp_path_factory.mktemp("states")
    rng = np.random.default_rng(5)
    weight = lambda *shape: (rng.normal(size=shape) / np.sqrt(shape[-1])).astype(np.float32)
    constants = {"w": weight(1, 3 * HIDDEN, WIDTH), "r": weight(1, 3 * HIDDEN, HIDDEN), "m": weight(WIDTH, HIDDEN),
                 "axis": np.array([1], np.int64), "first": np.array([0], np.int64)}
    nodes = [onnx.helper.make_node("Unsqueeze", ["frame", "first"], ["steps"]),
             onnx.helper.make_node("GRU", ["steps", "w", "r", "", "", "h"], ["", "h_out"], hidden_size=HIDDEN),
             onnx.helper.make_node("Squeeze", ["h_out", "first"], ["hidden"]),
             onnx.helper.make_node("Gemm", ["hidden", "m"], ["gain"], transB=1, name="mask"),
             onnx.helper.make_node("Sigmoid", ["gain"], ["opened"]),
             onnx.helper.make_node("Mul", ["opened", "frame"], ["y"])]
    value = lambda name, shape: onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = onnx.helper.make_graph(nodes, "denoiser", [value("frame", [1, WIDTH]), value("h", [1, 1, HIDDEN])],
                                   [value("y", [1, WIDTH]), value("h_out", [1, 1, HIDDEN])],
                                   [numpy_helper.from_array(a, n) for n, a in constants.items()])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8),
              folder / "denoiser.onnx")
    frames = np.cumsum(rng.normal(size=(FRAMES, WIDTH)), 0).astype(np.float32) * 0.3
    np.savez(folder / "frames.npz", frame=frames)
    (folder / "frames.toml").write_text('kind = "tensors"\nfiles = "frames.npz"\nstates = { h = "h_out" }\n')
    return folder, frames


def sequence(path, frames):
    """What the model answers frame after frame, its state carried along, in ONNX Runtime."""
    h, states, answers = np.zeros((1, 1, HIDDEN), np.float32), [], []
    for frame in frames:
        states.append(h)
        out = onnx_runtime(path, {"frame": frame[None], "h": h})
        h = out["h_out"]
        answers.append(out["y"])
    return np.concatenate(states + [h]), np.concatenate(answers)


def test_calibration_sees_the_states_of_the_sequence(narrow, denoiser, tmp_path):
    folder, frames = denoiser
    narrow("calibrate", folder / "denoiser.onnx", "--data", folder / "frames.toml", "--out", tmp_path / "c.json")
    values = json.loads((tmp_path / "c.json").read_text())["values"]
    states, _ = sequence(folder / "denoiser.onnx", frames)
    assert values["h"]["count"] == FRAMES * HIDDEN
    assert values["h"]["max"] == pytest.approx(states[:-1].max(), rel=1e-4)
    assert values["h_out"]["min"] == pytest.approx(states[1:].min(), rel=1e-4)
    assert states.max() > 0.1, "the states must move for this to say anything"


def test_builds_are_judged_on_the_sequence(narrow, denoiser, tmp_path):
    folder, frames = denoiser
    out = tmp_path / "out"
    narrow("build", folder / "denoiser.onnx", "--calib", folder / "frames.toml", "--eval", folder / "frames.toml",
           "--out", out, "--precisions", "fp32,bf16,int8", "--seconds", "0.05", "--calib-method", "auto")
    builds = {b["name"]: b for b in json.loads((out / "manifest.json").read_text())["builds"]}
    _, wanted = sequence(folder / "denoiser.onnx", frames)
    for name in ("fp32", "int8"):
        h, power, noise = np.zeros((1, 1, HIDDEN), np.float32), 0.0, 0.0
        for i, frame in enumerate(frames):
            got = narrow.outputs(out / f"{name}.narrow", {"frame": frame[None], "h": h}, tmp_path)
            h, noise, power = got["h_out"], noise + ((got["y"] - wanted[i]) ** 2).sum(), power + (wanted[i] ** 2).sum()
        sqnr = 10 * np.log10(power / max(noise, 1e-30))
        if name == "fp32":
            assert sqnr > 100
        else:
            assert sqnr > 25 and builds[name]["figures"]["sqnr"]["value"] == pytest.approx(sqnr, abs=6)


def test_wrong_names_are_errors(narrow, denoiser, tmp_path):
    folder, _ = denoiser
    for states, said in (('{ nobody = "h_out" }', "states"), ('{ h = "nobody" }', "output"), ('["h"]', "states")):
        (folder / "wrong.toml").write_text(f'kind = "tensors"\nfiles = "frames.npz"\nstates = {states}\n')
        done = narrow("calibrate", folder / "denoiser.onnx", "--data", folder / "wrong.toml", "--out", tmp_path / "c.json", code=1)
        assert said in done.stderr
