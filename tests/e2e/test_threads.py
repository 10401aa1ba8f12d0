"""Threads share the work out in other ways; the answers are the same bytes."""
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
from models import Net  # noqa: E402

PRECISIONS, THREADS = ["fp32", "bf16", "int8"], [1, 2, 3, 4]


def images():
    """Layers of every convolution family; 33 x 33 and odd widths, so that no share is like another."""
    net = Net(seed=1)
    x = net.op("Relu", net.conv("input", 3, 24, kernel=3, stride=2))
    deep = net.op("Relu", net.conv(x, 24, 24, kernel=3, groups=24))
    x = net.op("Add", x, net.conv(deep, 24, 24))
    x = net.op("Clip", net.conv(x, 24, 96), net.const(0.0), net.const(6.0))
    x = net.op("Relu", net.op("Add", x, net.conv(x, 96, 96, kernel=3, groups=4)))
    x = net.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = net.op("Concat", net.op("Sigmoid", net.conv(x, 96, 130, kernel=3)), net.conv(x, 96, 30, kernel=5), axis=1)
    x = net.op("AveragePool", net.op("Softmax", x, axis=1), kernel_shape=[2, 2], strides=[1, 1])
    x = net.op("Relu", net.conv(x, 160, 513))
    net.classifier(x, 513, classes=37)
    return net.model("images", [("input", TensorProto.FLOAT, [3, 33, 33])], [37])


def tokens():
    """A transformer's layer and what a recurrent one does: products of activations, softmax, norms, a long last row."""
    net, width, heads = Net(seed=2), 96, 4
    x = net.layer_norm(net.op("Gather", net.normal(1, 97, width), "ids"), width)
    split = net.const([0, 0, heads, width // heads], np.int64)
    q, k, v = (net.op("Transpose", net.op("Reshape", net.dense(x, width, width), split), perm=perm)
               for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]))
    scores = net.op("Softmax", net.op("Mul", net.op("MatMul", q, k), net.const((width // heads) ** -0.5)), axis=-1)
    seen = net.op("Transpose", net.op("MatMul", scores, v), perm=[0, 2, 1, 3])
    seen = net.op("Reshape", seen, net.const([0, 0, width], np.int64))
    x = net.layer_norm(net.op("Add", x, net.dense(seen, width, width)), width)
    wide = net.dense(x, width, 4 * width)
    gate = net.op("Add", net.op("Erf", net.op("Mul", wide, net.const(0.5**0.5))), net.const(1.0))
    x = net.layer_norm(net.op("Add", x, net.dense(net.op("Mul", net.op("Mul", wide, gate), net.const(0.5)), 4 * width, width)), width)
    steps = net.op("LSTM", net.op("Transpose", x, perm=[1, 0, 2]), net.normal(0.1, 1, 4 * 72, width), net.normal(0.1, 1, 4 * 72, 72),
                   hidden_size=72)
    net.dense(net.op("ReduceMean", net.op("Squeeze", steps, net.const([1], np.int64)), axes=[0], keepdims=0), 72, 1003)
    return net.model("tokens", [("ids", TensorProto.INT64, [19])], [1003])


def random_feeds(name, shape, samples):
    rng = np.random.default_rng(3)
    return {name: rng.integers(1, 97, [samples, *shape]) if name in ("ids", "tokens")
            else rng.standard_normal([samples, *shape]).astype(np.float32)}


def builds_of(narrow, model, feeds, folder):
    """The model in every precision, calibrated on these samples."""
    np.savez(folder / "calib.npz", **feeds)
    (folder / "calib.toml").write_text('kind = "tensors"\nfiles = "calib.npz"\n')
    narrow("build", model, "--calib", folder / "calib.toml", "--out", folder / "out", "--seconds", "0.01", "--precisions", ",".join(PRECISIONS))
    return folder / "out"


def differing(narrow, file, feeds, folder, **environment):
    """The numbers of threads whose outputs are not those of one thread, byte by byte."""
    def outputs(threads):
        return {name: (array.shape, array.tobytes())
                for name, array in narrow.outputs(file, feeds, folder, "--threads", threads, environment=environment).items()}
    one, *others = [outputs(threads) for threads in THREADS]
    assert one
    return [threads for threads, other in zip(THREADS[1:], others) if other != one]


@pytest.fixture(scope="module", params=[(images, "input", (3, 33, 33)), (tokens, "ids", (19,))], ids=["images", "tokens"])
def made(request, narrow, tmp_path_factory):
    make, name, shape = request.param
    folder = tmp_path_factory.mktemp(make.__name__)
    onnx.save(make(), folder / "model.onnx")
    feeds = random_feeds(name, shape, 3)
    return builds_of(narrow, folder / "model.onnx", feeds, folder), feeds


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("batch", [1, 3])
def test_every_kernel_gives_the_same_bytes(narrow, made, isas, tmp_path, precision, batch):
    out, feeds = made
    few = {name: array[:batch] for name, array in feeds.items()}
    wrong = {isa: differing(narrow, out / f"{precision}.narrow", few, tmp_path, NARROW_MAX_ISA=isa) for isa in isas}
    assert not any(wrong.values()), wrong


@pytest.mark.parametrize("model, name, shape", [
    ("resnet20_cifar10", "input", (3, 32, 32)), ("squeezenet1.1", "data", (3, 224, 224)), ("mobilenet_v1_0.75", "input", (3, 224, 224)),
    ("face_rfb320", "input", (3, 240, 320)), ("fastestdet", "input.1", (3, 352, 352)), ("stories260K", "tokens", (32,))])
def test_published_models_give_the_same_bytes(narrow, data_pack, tmp_path, model, name, shape):
    feeds = random_feeds(name, shape, 1)
    out = builds_of(narrow, data_pack / "models" / f"{model}.onnx", feeds, tmp_path)
    wrong = {precision: differing(narrow, out / f"{precision}.narrow", feeds, tmp_path) for precision in PRECISIONS}
    assert not any(wrong.values()), wrong
