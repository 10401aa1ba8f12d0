"""The search for a mix of formats: known culprits, files that peers read, searches that go on where they stopped."""
import json
import os
import signal
import subprocess
import time

import numpy as np
import pytest

import planted
from conftest import DIGITS, MODEL, digits, onnx_runtime

CALIB, EVAL = DIGITS / "calib.toml", DIGITS / "eval.toml"


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """(file, names of products that read outliers, names of the others) by where the outliers are."""
    folder = tmp_path_factory.mktemp("planted")
    planted.write_data(folder)
    return {loud: (folder / f"{loud}.onnx", *planted.write(folder / f"{loud}.onnx", loud)) for loud in ("attention", "ffn", "far", "huge")}


def build(narrow, model, out, *options, precisions="fp32,bf16,int8,mixed", cache=None, code=0):
    """The manifest. Pinned, weights to nearest and no channels exchanged: the outliers stay, the answer is the same every time."""
    folder = model.parent
    environment = {"NARROW_CACHE": str(cache)} if cache else None
    return narrow("build", model, "--calib", folder / "calib.npz", "--eval", folder / "eval.npz", "--out", out, "--precisions",
                  precisions, "--recipe", "nearest", "--tactics", "pinned", "--seconds", "0.02", "--json", *options,
                  environment=environment, code=code).json


def formats_of(manifest):
    return {layer["node"]: layer["format"] for layer in manifest["mix"]["layers"]}


def named(kind, manifest):
    """{"l0.norm1": format, ...}: the layers of the mix whose names end so."""
    return {name: format for name, format in formats_of(manifest).items() if name.split(".")[-1] in kind}


@pytest.mark.parametrize("loud", ["attention", "ffn"])
def test_planted_layers_are_wide_and_the_others_int8(narrow, encoders, tmp_path, loud):
    model, guilty, innocent = encoders[loud]
    manifest = build(narrow, model, tmp_path / "out", "--gate", "sqnr>=28dB", precisions="fp32,int8,mixed")
    figures = {b["name"]: b["figures"]["sqnr"]["value"] for b in manifest["builds"]}
    assert figures["int8"] < 24  # the outliers cost it the gate
    formats = formats_of(manifest)
    assert {name: formats[name] for name in guilty} == {name: "fp32" for name in guilty}
    assert {name: formats[name] for name in innocent} == {name: "int8" for name in innocent}
    mixed = next(b for b in manifest["builds"] if b["name"] == "mixed")
    assert mixed["gates"][0]["verdict"] == "passed"
    reasons = {n.get("node"): n["reason"] for n in mixed["recipe"]["nodes"].values() if "reason" in n}
    assert all("int8 would save" in reasons[name] for name in guilty)


@pytest.mark.parametrize("half", ["bf16", "fp16"])
def test_attention_and_its_norms_are_half_beside_an_int8_feed_forward(narrow, encoders, tmp_path, half):
    """The products of attention cannot be int8. Half formats take half the time of FP32, and norm, products, attention and the
    norm behind them hand on what they make without a cast: that is the best there is, and is found."""
    model, guilty, _ = encoders["attention"]
    manifest = build(narrow, model, tmp_path / "out", "--gate", "sqnr>=28dB", precisions=f"fp32,{half},int8,mixed")
    halves = [*guilty, *named({"norm1", "mix"}, manifest)]
    assert len(halves) == 15  # of 3 layers: q, k, v, the norm before them and attention, called by its last node
    formats = formats_of(manifest)
    assert {name: formats[name] for name in halves} == {name: half for name in halves}
    assert set(named({"fc1", "fc2"}, manifest).values()) == {"int8"}
    mixed = next(b for b in manifest["builds"] if b["name"] == "mixed")
    assert mixed["gates"][0]["verdict"] == "passed"  # whether it is chosen is a matter of time: the uniform half build passes, too
    reasons = {n.get("node"): n["reason"] for n in mixed["recipe"]["nodes"].values() if "reason" in n}
    assert all(f"int8 builds compute it in FP32; {half} saves" in reasons[name] for name in named({"norm1", "mix"}, manifest))
    text = narrow("explain", tmp_path / "out").stdout
    assert f"l0.norm1_out computes in {half}: int8 builds compute it in FP32; {half} saves" in text
    # What lies between them is half, too: attention reads half numbers and hands it on, no cast in between.
    nodes = mixed["recipe"]["nodes"]
    for name in ("q_add", "q_split", "q_t", "k_t", "v_t", "back", "join"):
        assert nodes[f"l1.{name}_out"]["format"] == half
    casts = [step for step in narrow("explain", tmp_path / "out" / "mixed.narrow", "--json").json["steps"] if step["op"] == "Cast"]
    assert len(casts) <= 2 * planted.LAYERS  # of the stream, into a norm
    # And the file says the same elsewhere.
    feeds = {"x": np.load(model.parent / "eval.npz")["x"]}
    exact = next(iter(onnx_runtime(model, feeds).values()))
    theirs = next(iter(onnx_runtime(tmp_path / "out" / "mixed.onnx", feeds).values())).astype(np.float64)
    assert 10 * np.log10(np.sum(exact.astype(np.float64) ** 2) / np.sum((theirs - exact) ** 2)) >= 27.5


@pytest.mark.parametrize("loud", ["far", "huge"])
def test_norms_that_a_half_format_cannot_hold_are_fp32(narrow, encoders, tmp_path, loud):
    """far: what a norm makes lies around 1024, where FP16 numbers are 1 apart. huge: it reaches beyond FP16. The norms before the
    feed-forward layers hold what half formats give."""
    model, guilty, innocent = encoders[loud]
    manifest = build(narrow, model, tmp_path / "out", "--gate", "sqnr>=25dB", precisions="fp32,fp16,int8,mixed")
    verdicts = {b["name"]: b["gates"][0]["verdict"] for b in manifest["builds"]}
    assert verdicts["int8"] == "failed" and verdicts["mixed"] == "passed"
    assert verdicts["fp16"] == ("failed" if loud == "far" else "passed")
    formats = formats_of(manifest)
    norms = named({"norm1"}, manifest)
    assert len(norms) == planted.LAYERS and set(norms.values()) == {"fp32"}
    assert set(named({"v"}, manifest).values()) == {"fp32"}
    assert "int8" not in {formats[name] for name in guilty}  # softmax hides a little of what Q and K lose
    assert {name: formats[name] for name in innocent} == {name: "int8" for name in innocent}
    choices = {layer["node"]: layer["choices"] for layer in manifest["mix"]["layers"]}
    for i in range(planted.LAYERS):
        assert ("fp16" in choices[f"l{i}.norm1"]) == (loud == "far")
        assert "fp16" in choices[f"l{i}.norm2"] and "int8" not in choices[f"l{i}.norm2"]
        if loud == "far":  # what the norm makes is rounded where products read it in FP16
            assert choices[f"l{i}.v"]["fp16"]["noise"] > 100 * choices[f"l{i}.norm2"]["fp16"]["noise"]


def test_a_second_search_tries_nothing_again(narrow, encoders, tmp_path):
    model, _, _ = encoders["attention"]
    options = ["--gate", "sqnr>=28dB"]
    first = build(narrow, model, tmp_path / "a", *options, cache=tmp_path / "cache")
    files = [f for f in (tmp_path / "cache").iterdir() if f.name.startswith("mix-")]
    assert len(files) == 1 and first["mix"]["recalled"] == 0
    before = files[0].read_bytes()
    second = build(narrow, model, tmp_path / "b", *options, cache=tmp_path / "cache")
    assert files[0].read_bytes() == before  # every new answer would have been written
    asked = len(json.loads(before)["answers"])
    assert second["mix"]["recalled"] == asked > len(second["mix"]["trials"]) > 0
    for manifest in (first, second):
        manifest["mix"].pop("recalled")
    assert first["mix"] == second["mix"]
    assert (tmp_path / "a" / "mixed.onnx").read_bytes() == (tmp_path / "b" / "mixed.onnx").read_bytes()
    # Another gate asks about other mixes, but takes the noises from there.
    other = build(narrow, model, tmp_path / "c", "--gate", "sqnr>=24dB", cache=tmp_path / "cache")
    assert 0 < other["mix"]["recalled"] < asked + len(other["mix"]["trials"])


def test_an_interrupted_search_goes_on(narrow, encoders, tmp_path):
    model, _, _ = encoders["ffn"]
    cache, options = tmp_path / "cache", ["--gate", "sqnr>=28dB"]
    args = [narrow.binary, "build", model, "--calib", model.parent / "calib.npz", "--eval", model.parent / "eval.npz", "--out",
            tmp_path / "never", "--precisions", "fp32,bf16,int8,mixed", "--recipe", "nearest", "--tactics", "pinned", "--quiet", *options]
    # Where the tests run in a shell's background, processes are born with interrupts ignored.
    process = subprocess.Popen([str(a) for a in args], env={**os.environ, "NARROW_CACHE": str(cache)},
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    answers = {}
    while process.poll() is None and len(answers) < 5:
        time.sleep(0.02)
        for file in cache.glob("mix-*.json"):
            answers = json.loads(file.read_text())["answers"]  # never half a file
    process.send_signal(signal.SIGINT)
    process.wait()
    assert len(answers) >= 5 and not (tmp_path / "never").exists()
    resumed = build(narrow, model, tmp_path / "a", *options, cache=cache)
    whole = build(narrow, model, tmp_path / "b", *options, cache=tmp_path / "other")
    assert resumed["mix"].pop("recalled") >= len(answers) and whole["mix"].pop("recalled") == 0
    assert resumed["mix"] == whole["mix"]


def test_by_size_the_mix_is_smaller_than_the_smallest_build_that_holds(narrow, encoders, tmp_path):
    model, _, _ = encoders["ffn"]
    manifest = build(narrow, model, tmp_path / "out", "--gate", "sqnr>=22dB", "--objective", "size",
                     precisions="fp32,int8,int8-dynamic,int4,mixed")
    builds = {b["name"]: b for b in manifest["builds"]}
    verdicts = {name: b["gates"][0]["verdict"] for name, b in builds.items()}
    assert verdicts["int4"] == "failed" and verdicts["mixed"] == "passed"
    holding = [b["bytes"] for name, b in builds.items() if name != "mixed" and verdicts[name] == "passed"]
    assert builds["mixed"]["bytes"] < min(holding) and manifest["decision"]["chosen"] == "mixed"
    assert "int4" in formats_of(manifest).values()
    # What it costs is what the files show: bytes by layer differ between formats as the files do.
    choices = [layer["choices"] for layer in manifest["mix"]["layers"]]  # norms and attention have FP32 only, and no bytes
    by_format = {f: sum(c.get(f, c["fp32"])["bytes"] for c in choices) for f in ("fp32", "int8", "int4")}
    for name in ("int8", "int4"):
        saved = builds["fp32"]["onnx_bytes"] - builds[name]["onnx_bytes"]
        assert saved == pytest.approx(by_format["fp32"] - by_format[name], rel=0.03)


def test_by_size_some_layers_have_weights_in_four_bits(narrow, encoders, tmp_path):
    """A gate between w4a8 and int8: mixes of both, which compute the same way, hold it in fewer bytes than int8."""
    model, _, _ = encoders["ffn"]
    uniform = build(narrow, model, tmp_path / "uniform", precisions="fp32,int8,w4a8")
    sqnr = {b["name"]: b["figures"]["sqnr"]["value"] for b in uniform["builds"]}
    gate = (sqnr["int8"] + sqnr["w4a8"]) / 2
    manifest = build(narrow, model, tmp_path / "out", "--gate", f"sqnr>={gate:.1f}dB", "--objective", "size",
                     precisions="fp32,int8,w4a8,mixed")
    builds = {b["name"]: b for b in manifest["builds"]}
    verdicts = {name: b["gates"][0]["verdict"] for name, b in builds.items()}
    assert verdicts["w4a8"] == "failed" and verdicts["int8"] == "passed" == verdicts["mixed"]
    assert builds["w4a8"]["bytes"] < builds["mixed"]["bytes"] < builds["int8"]["bytes"]
    formats = set(formats_of(manifest).values())
    assert "w4a8" in formats and formats & {"int8", "fp32"}


def test_where_no_mix_is_better_the_proof_is_given(narrow, encoders, tmp_path):
    model, _, _ = encoders["ffn"]
    done = narrow("build", model, "--calib", model.parent / "calib.npz", "--eval", model.parent / "eval.npz", "--out", tmp_path / "a",
                  "--precisions", "fp32,int8,mixed", "--recipe", "nearest", "--tactics", "pinned", "--seconds", "0.02", "--gate", "cosine>=-1",
                  "--json")
    assert "mixed: no mix would be 3% better than int8" in done.stderr  # which holds, and is the fastest of all
    done = narrow("build", model, "--calib", model.parent / "calib.npz", "--eval", model.parent / "eval.npz", "--out", tmp_path / "b",
                  "--precisions", "fp32,int8,mixed", "--recipe", "nearest", "--tactics", "pinned", "--seconds", "0.02", "--gate",
                  "sqnr>=120dB", "--json", code=3)
    assert "no mix is 3% better than fp32" in done.stderr and "the quietest that would be" in done.stderr
    proof = done.json["mix"]["proof"]
    assert proof["ms"] <= 0.97 * done.json["mix"]["rival"]["ms"]
    assert done.json["mix"]["trials"][-1]["ms"] == proof["ms"] and not done.json["mix"]["trials"][-1]["holds"]


def test_no_mix_is_predicted_to_be_slower_than_a_uniform_build_that_holds(narrow, encoders, tmp_path):
    for loud, (model, _, _) in encoders.items():
        for gate in ("sqnr>=15dB", "sqnr>=25dB", "sqnr>=40dB"):
            mix = build(narrow, model, tmp_path / f"{loud}{gate}", "--gate", gate, precisions="fp32,fp16,int8,int8-dynamic,int4,mixed")["mix"]
            if mix["holds"]:
                best = min(t["ms"] for t in mix["trials"] if t["holds"])
                assert best < 0.97 * mix["rival"]["ms"]


@pytest.mark.parametrize("formats", [["int8-dynamic", "int4", "fp16", "int8", "fp32", "int3"], ["int8", "w4a8", "int8-dynamic", "w4a8", "int4"]])
def test_every_format_in_one_file_runs_alike_in_onnx_runtime(narrow, tmp_path, formats):
    """Both run the same integers; floats are summed in other orders, so that codes next to a tie differ by one. With at most one
    code in 600 off by a step, noise 1/600 of a step's square against the 1/12 of rounding, they are 17 dB closer to each other
    than either is to FP32."""
    names = [step["node"] for step in narrow("explain", MODEL, "--json").json["steps"] if "Conv" in step["op"] or "MatMul" in step["op"]]
    wide = [f"{name}={f}" for name, f in zip(names, formats) if f != "int8"]
    assert len(wide) >= 3
    narrow("calibrate", MODEL, "--data", CALIB, "--out", tmp_path / "calibration.json")
    for kind in ("narrow", "onnx"):
        narrow("quantize", MODEL, "--precision", "int8", "--calibration", tmp_path / "calibration.json", "--data", CALIB, "--out", tmp_path / f"a.{kind}", "--tactics", "pinned",
               "--group-size", "16", *[argument for w in wide for argument in ("--wide", w)])
    feeds, _ = digits("eval")
    ours = narrow.outputs(tmp_path / "a.narrow", feeds, tmp_path)["logits"].astype(np.float64)
    theirs, exact = onnx_runtime(tmp_path / "a.onnx", feeds)["logits"], onnx_runtime(MODEL, feeds)["logits"]
    assert np.sum((ours - theirs) ** 2) <= np.sum((ours - exact) ** 2) / 50
    assert np.mean(ours.argmax(1) == theirs.argmax(1)) >= 0.99
