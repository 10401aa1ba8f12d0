"""`narrow data check`: calibration that is fine passes, and every way to spoil it is named.

Poisoned sets are arrays without a description unless the case is about descriptions, so that nothing but the numbers can tell.
"""
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from conftest import DIGITS, MODEL, digits

EVAL = DIGITS / "eval.toml"
# Pairs of sets that are alike. An alarm may be wrong once in a thousand such pairs, so that one among these would be a surprise.
PAIRS = 20


def failing(got):
    return {finding["kind"] for finding in got["findings"] if finding["fails"]}


def kinds(got):
    return {finding["kind"] for finding in got["findings"]}


@pytest.fixture
def check(narrow, tmp_path):
    """check(model, calibration, evaluation, code): the report; arrays are written to .npz files first."""

    def run(model, calibration, evaluation, code, *options):
        paths = []
        for name, data in (("calib", calibration), ("eval", evaluation)):
            if isinstance(data, dict):
                np.savez(tmp_path / f"{name}.npz", **data)
                data = tmp_path / f"{name}.npz"
            paths.append(data)
        done = narrow("data", "check", model, "--calib", paths[0], "--eval", paths[1], "--json", "--quiet", *options, code=code)
        assert done.json["represents"] == (code == 0) == (not failing(done.json))
        return done.json

    return run


@pytest.mark.parametrize("calib, code, verdict", [("calib", 0, "represents"), ("blank", 3, "does NOT represent")])
def test_the_text_says_what_the_json_says(narrow, tmp_path, calib, code, verdict):
    np.savez(tmp_path / "blank.npz", input=np.zeros((20, 1, 8, 8), np.float32))
    command = ("data", "check", MODEL, "--calib", DIGITS / "calib.toml" if calib == "calib" else tmp_path / "blank.npz", "--eval", EVAL)
    text, got = narrow(*command, code=code).stdout, narrow(*command, "--json", code=code).json
    assert text.splitlines()[-1] == f"calibration {verdict} evaluation"
    for finding in got["findings"]:
        assert f"{'PROBLEM' if finding['fails'] else 'note'}: {finding['sentence']}" in text
    for step in got["convergence"]["steps"]:
        assert f"\n{step['samples']:>7}  " in text


def test_published_digits_are_represented(check):
    got = check(MODEL, DIGITS / "calib.toml", EVAL, 0)
    assert kinds(got) <= {"enough_samples", "outliers"}
    assert (got["calibration"]["looked_at"], got["evaluation"]["looked_at"]) == (200, 400)
    assert got["calibration"]["blank"] == [] and got["calibration"]["copies"] == 0 and got["shared_samples"] == 0
    steps = got["convergence"]["steps"]
    assert [step["samples"] for step in steps] == sorted(step["samples"] for step in steps) and steps[-1]["samples"] == 200
    enough = got["convergence"]["enough"]
    assert 0 < enough <= 200
    assert f"200 calibration samples; {enough} would have done." in [finding["sentence"] for finding in got["findings"]]
    assert all(value["verdict"] in ("alike", "shifted") for value in got["values"])


def test_the_other_direction_is_represented_too(check):
    """Evaluation as calibration: the check knows no favourite."""
    check(MODEL, EVAL, DIGITS / "calib.toml", 0)


def test_halves_of_one_set_are_never_called_different(check):
    everything = np.concatenate([digits(split)[0]["input"] for split in ("calib", "eval")])
    for seed in range(PAIRS):
        order = np.random.default_rng(seed).permutation(len(everything))
        check(MODEL, {"input": everything[order[:150]]}, {"input": everything[order[150:450]]}, 0)


def grey(x, rng):
    return np.broadcast_to(rng.uniform(0, 1, (len(x), 1, 1, 1)), x.shape).astype(np.float32)


POISONS = {
    "one grey each": ("blank", lambda x, y, rng: grey(x, rng)),
    "all zero": ("blank", lambda x, y, rng: np.zeros_like(x)),
    "a fifth zero": ("blank", lambda x, y, rng: np.where((np.arange(len(x)) % 5 == 0)[:, None, None, None], 0, x)),
    "0..16 for 0..1": ("scale", lambda x, y, rng: x * 16),
    "0..255 for 0..1": ("scale", lambda x, y, rng: x * 255),
    "divided twice": ("scale", lambda x, y, rng: x / 16),
    "divided by 255 twice": ("scale", lambda x, y, rng: x / 255),
    "mean 0.5 and std 0.5": ("scale", lambda x, y, rng: (x - 0.5) / 0.5),
    "mean 0.5": ("scale", lambda x, y, rng: x - 0.5),
    "one class": ("few_classes", lambda x, y, rng: x[y == 3]),
    "two classes": ("few_classes", lambda x, y, rng: x[(y == 3) | (y == 8)]),
    "ten samples twenty times": ("duplicates", lambda x, y, rng: np.tile(x[:10], (20, 1, 1, 1))),
    "one sample 200 times": ("duplicates", lambda x, y, rng: np.tile(x[:1], (200, 1, 1, 1))),
    "NaN": ("not_finite", lambda x, y, rng: np.where(np.arange(len(x))[:, None, None, None] == 7, np.nan, x)),
}


@pytest.mark.parametrize("what", POISONS)
def test_poisoned_digits_are_named(check, what):
    kind, poison = POISONS[what]
    feeds, labels = digits("calib")
    spoilt = poison(feeds["input"], labels, np.random.default_rng(1)).astype(np.float32)
    assert kind in failing(check(MODEL, {"input": spoilt}, EVAL, 3))


def test_the_clean_set_is_in_no_way_worse_as_arrays(check):
    assert failing(check(MODEL, digits("calib")[0], EVAL, 0)) == set()


def test_one_class_by_its_labels(check, tmp_path):
    """With labels the class is named; here the arrays are the set, so that the model's answers are not needed."""
    with np.load(DIGITS / "calib.npz") as arrays:
        ones = arrays["label"] == 1
        np.savez(tmp_path / "ones.npz", input=arrays["input"][ones], label=arrays["label"][ones])
    (tmp_path / "ones.toml").write_text('kind = "tensors"\nfiles = "ones.npz"\nscale = 0.0625\nlabels = "label"\n')
    got = check(MODEL, tmp_path / "ones.toml", EVAL, 3)
    sentence = next(f["sentence"] for f in got["findings"] if f["kind"] == "few_classes")
    assert "100 % of its samples are labelled class 1" in sentence
    assert got["labels"]["top_class"] == 1 and got["labels"]["calibration"] == pytest.approx(1)


def test_scales_of_descriptions_that_differ_are_named(check, tmp_path):
    text = (DIGITS / "calib.toml").read_text().replace("files =", f'root = "{DIGITS}"\nfiles =')
    (tmp_path / "other.toml").write_text(text.replace("0.0625", "0.0625\nmean = [0.5]\nstd = [0.5]"))
    got = check(MODEL, tmp_path / "other.toml", EVAL, 3)
    assert got["findings"][0]["kind"] == "scale" and "evaluation spreads 0.5" in got["findings"][0]["sentence"]


def test_outliers_are_found_by_their_index(check):
    feeds, _ = digits("calib")
    spoilt = feeds["input"].copy()
    spoilt[17] = np.indices((8, 8)).sum(0) % 2  # a chessboard of ordinary values
    spoilt[101] *= 4                            # four times the range
    clean = {o["sample"] for o in check(MODEL, feeds, EVAL, 0)["calibration"]["outliers"]}
    got = check(MODEL, {"input": spoilt}, EVAL, 0)
    found = {o["sample"] for o in got["calibration"]["outliers"]} - clean
    assert {name.rsplit(" ", 1)[-1] for name in found} >= {"17", "101"}
    assert "101" in {w["sample"].rsplit(" ", 1)[-1] for w in got["calibration"]["wideners"]}


def test_samples_of_evaluation_in_calibration_are_counted(check):
    feeds, _ = digits("eval")
    got = check(MODEL, {"input": feeds["input"][:100]}, EVAL, 0)
    assert got["shared_samples"] == 100 and "shared_samples" in kinds(got)


def test_too_few_samples_are_said(check):
    feeds, _ = digits("calib")
    got = check(MODEL, {"input": feeds["input"][:6]}, EVAL, 0)
    assert "too_few_samples" in kinds(got) and got["convergence"]["still_grows"]


def test_same_report_for_any_number_of_threads(check):
    reports = [check(MODEL, DIGITS / "calib.toml", EVAL, 0, "--threads", threads) for threads in (1, 2, 5)]
    assert reports[0] == reports[1] == reports[2]


# Colour: a network of random filters, and pictures whose red has detail where their blue is blurred. Means and deviations of
# the channels are the same, so that nothing but the order can be found.


@pytest.fixture(scope="module")
def colour_model(tmp_path_factory):
    rng = np.random.default_rng(1)
    weights = {"w1": rng.normal(0, 0.3, (8, 3, 3, 3)), "w2": rng.normal(0, 0.3, (8, 8, 3, 3)), "w3": rng.normal(0, 1, (8, 5))}
    nodes = [helper.make_node("Conv", ["x", "w1"], ["c1"], pads=[1] * 4), helper.make_node("Relu", ["c1"], ["r1"]),
             helper.make_node("Conv", ["r1", "w2"], ["c2"], pads=[1] * 4), helper.make_node("Relu", ["c2"], ["r2"]),
             helper.make_node("GlobalAveragePool", ["r2"], ["g"]), helper.make_node("Flatten", ["g"], ["f"]),
             helper.make_node("MatMul", ["f", "w3"], ["y"])]
    graph = helper.make_graph(nodes, "colours", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 16, 16])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5])],
                              [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()])
    path = tmp_path_factory.mktemp("colours") / "colours.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def pictures(n, seed):
    """[n,3,16,16] in 0..1: every channel has mean 0.5 and deviation 0.15 in every picture, blue is the smoothest."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n, 3, 16, 16))
    for channel, rounds in ((0, 0), (1, 2), (2, 6)):
        for _ in range(rounds):
            for axis in (1, 2):
                noise[:, channel] += np.roll(noise[:, channel], 1, axis)
    noise -= noise.mean((2, 3), keepdims=True)
    return (0.5 + 0.15 * noise / noise.std((2, 3), keepdims=True)).astype(np.float32)


def test_exchanged_colours_are_named(check, colour_model):
    good, other = pictures(60, 1), pictures(120, 2)
    assert "channel_order" not in kinds(check(colour_model, {"x": good}, {"x": other}, 0))
    got = check(colour_model, {"x": good[:, ::-1]}, {"x": other}, 3)
    assert "channel_order" in failing(got) and "scale" not in failing(got)
    assert got["channel_order"]["reversed"] > 0.9 * got["channel_order"]["samples"]


# The data pack: photos, bytes in arrays, tokens.
PACK = {"mobilenet_v1_0.75": "imagenet-{}.mobilenet", "squeezenet1.1": "imagenet-{}.torch", "resnet20_cifar10": "cifar10-{}",
        "face_rfb320": "photos-{}.face", "fastestdet": "photos-{}.fastestdet", "stories260K": "tinystories-{}"}


@pytest.mark.parametrize("model", PACK)
def test_published_calibration_is_represented(narrow, data_pack, model):
    sets = [data_pack / "datasets" / f"{PACK[model].format(split)}.toml" for split in ("calib", "eval")]
    got = narrow("data", "check", data_pack / "models" / f"{model}.onnx", "--calib", sets[0], "--eval", sets[1], "--json", "--quiet",
                 "--samples", "150", timeout=600).json
    assert got["represents"], [f["sentence"] for f in got["findings"] if f["fails"]]


CIFAR_POISONS = {
    "channel_order": lambda x, y: x[:200, ::-1],
    "few_classes": lambda x, y: x[y == 5][:200],
    "duplicates": lambda x, y: np.tile(x[:20], (10, 1, 1, 1)),
    "blank": lambda x, y: np.broadcast_to(x[:200].mean((2, 3), keepdims=True), (200, 3, 32, 32)),
}


@pytest.fixture(scope="module")
def cifar(data_pack):
    toml = data_pack / "datasets" / "cifar10-calib.toml"
    with np.load(data_pack / "cifar10" / "calib.npz") as arrays:
        return data_pack / "models" / "resnet20_cifar10.onnx", toml, arrays["input"], arrays["label"]


def normalised(x, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)):
    column = lambda v: np.asarray(v, np.float32)[:, None, None]
    return ((x.astype(np.float32) / 255 - column(mean)) / column(std)).astype(np.float32)


@pytest.mark.parametrize("kind", CIFAR_POISONS)
def test_poisoned_photos_are_named(check, cifar, kind):
    model, toml, x, y = cifar
    evaluation = toml.parent / "cifar10-eval.toml"
    got = check(model, {"input": normalised(CIFAR_POISONS[kind](x, y))}, evaluation, 3, "--samples", "200")
    assert kind in failing(got)


@pytest.mark.parametrize("what, spoilt, said", [
    ("bytes", lambda x: x.astype(np.float32), "bytes 0..255"),
    ("no mean, no std", lambda x: normalised(x, (0, 0, 0), (1, 1, 1)), "pixel / 255"),
    ("no mean", lambda x: normalised(x, mean=(0, 0, 0)), "mean left out"),
    ("no std", lambda x: normalised(x, std=(1, 1, 1)), "std left out"),
    ("divided twice", lambda x: normalised(x / 255), "already divided by 255")])
def test_misscaled_photos_are_named_with_the_mistake(check, cifar, what, spoilt, said):
    model, toml, x, _ = cifar
    got = check(model, {"input": spoilt(x[:200])}, toml.parent / "cifar10-eval.toml", 3, "--samples", "200")
    assert any(f["kind"] == "scale" and said in f["sentence"] for f in got["findings"] if f["fails"]), got["findings"]
