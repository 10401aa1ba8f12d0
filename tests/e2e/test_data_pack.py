"""The main command on models and data of the data pack, which lies beside the repository or where NARROW_DATA says."""
import json

import numpy as np
import pytest

from conftest import onnx_runtime


@pytest.fixture(scope="module")
def mobilenet(narrow, data_pack, tmp_path_factory):
    out = tmp_path_factory.mktemp("mobilenet") / "out"
    narrow("build", data_pack / "models" / "mobilenet_v1_0.75.onnx", "--calib",
           data_pack / "datasets" / "imagenet-calib.mobilenet.toml", "--eval",
           data_pack / "datasets" / "imagenet-eval.mobilenet.toml", "--gate", "top1.drop<=5pp", "--precisions", "fp32,bf16,int8",
           "--seconds", "0.5", "--out", out, timeout=600)
    return out


def test_photos_in_a_proven_build_out(mobilenet):
    builds = {b["name"]: b for b in json.loads((mobilenet / "manifest.json").read_text())["builds"]}
    assert builds["fp32"]["figures"]["top1"]["value"] == pytest.approx(84.57, abs=0.6)  # 296 of 350; a decoder may round
    assert builds["bf16"]["figures"]["top1"]["change"] >= -1
    assert builds["int8"]["figures"]["top1"]["value"] >= 82.5
    assert builds["int8"]["bytes"] < 0.4 * builds["fp32"]["bytes"]


def test_portable_int8_agrees_in_onnx_runtime(narrow, mobilenet, tmp_path):
    feeds = {"input": np.random.default_rng(1).uniform(-1, 1, (2, 3, 224, 224)).astype(np.float32)}
    ours = narrow.outputs(mobilenet / "int8.narrow", feeds, tmp_path)["logits"]
    theirs = onnx_runtime(mobilenet / "int8.onnx", feeds)["logits"]
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("name, shape", [("squeezenet1.1", (1, 3, 224, 224)), ("resnet20_cifar10", (2, 3, 32, 32)),
                                         ("face_rfb320", (1, 3, 240, 320)), ("fastestdet", (1, 3, 352, 352)),
                                         ("stories260K", (1, 32))])
def test_published_models_answer_as_in_onnx_runtime(narrow, data_pack, tmp_path, name, shape):
    model, rng = data_pack / "models" / f"{name}.onnx", np.random.default_rng(1)
    inputs = narrow("inspect", model, "--json").json["inputs"]
    array = rng.integers(1, 500, shape) if name == "stories260K" else rng.uniform(-1, 1, shape).astype(np.float32)
    feeds = {inputs[0]["name"]: array}
    ours, theirs = narrow.outputs(model, feeds, tmp_path), onnx_runtime(model, feeds)
    for output, expected in theirs.items():
        assert np.abs(ours[output] - expected).max() <= 1e-4 * np.abs(expected).max(), output
