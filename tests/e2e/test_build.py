"""`narrow build`: its files, its manifest, its gates, and that it repeats itself."""
import hashlib
import json

import numpy as np
import pytest

from conftest import DIGITS, MODEL, digits, onnx_runtime

CALIB, EVAL = DIGITS / "calib.toml", DIGITS / "eval.toml"
PRECISIONS = ["fp32", "bf16", "fp16", "int8"]


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def test_every_file_is_there_and_nothing_else(built):
    expected = {"manifest.json", "calibration.json"}
    expected |= {f"{p}.{kind}" for p in PRECISIONS for kind in ("narrow", "onnx")}
    assert expected <= {f.name for f in built.iterdir()} <= expected | {"report.html"}


def test_int8_files_are_about_a_quarter(built):
    for kind in ("narrow", "onnx"):
        ratio = (built / f"int8.{kind}").stat().st_size / (built / f"fp32.{kind}").stat().st_size
        assert ratio < 0.4, kind


def test_manifest_says_where_everything_came_from(built):
    m = manifest(built)
    assert m["model"]["file"] == "digits.onnx" and m["model"]["hash"]
    assert m["calibration"]["samples"] == 200 and m["evaluation"]["samples"] == 400
    assert m["calibration"]["hash"] != m["evaluation"]["hash"]
    assert [b["name"] for b in m["builds"]] == PRECISIONS
    assert m["decision"]["chosen"] in PRECISIONS and m["decision"]["fallback"][0] == m["decision"]["chosen"]
    for build in m["builds"]:
        assert build["bytes"] == (built / build["files"]["narrow"]).stat().st_size
        assert build["onnx_bytes"] == (built / build["files"]["onnx"]).stat().st_size
        assert build["speed"]["median_ms"] > 0


def test_figures_equal_those_counted_here(narrow, built, tmp_path):
    feeds, labels = digits("eval")
    reference = onnx_runtime(MODEL, feeds)["logits"]
    # In batches as evaluation takes them: kernels, and with them roundings to fp16, may depend on the batch.
    batches = [{"input": feeds["input"][i:i + 8]} for i in range(0, len(labels), 8)]
    for build in manifest(built)["builds"]:
        artifact = built / build["files"]["narrow"]
        answer = np.concatenate([narrow.outputs(artifact, batch, tmp_path)["logits"] for batch in batches])
        figures = build["figures"]
        assert figures["top1"]["value"] == pytest.approx(100 * np.mean(answer.argmax(1) == labels), abs=1e-6)
        if build["name"] == "fp32":
            continue
        agreement = 100 * np.mean(answer.argmax(1) == reference.argmax(1))
        noise = np.sum((answer.astype(np.float64) - reference) ** 2)
        sqnr = 10 * np.log10(np.sum(reference.astype(np.float64) ** 2) / noise)
        assert figures["agreement"]["value"] == pytest.approx(agreement, abs=1e-6)
        assert figures["sqnr"]["value"] == pytest.approx(sqnr, abs=0.01)


def test_no_build_loses_more_than_a_point(built):
    for build in manifest(built)["builds"]:
        figures = build["figures"]
        assert figures["top1"]["value"] >= 97, build["name"]
        assert abs(figures["top1"]["change"]) <= 1, build["name"]


def test_a_second_build_is_byte_identical(narrow, built, tmp_path):
    narrow("build", MODEL, "--calib", CALIB, "--eval", EVAL, "--out", tmp_path / "out", "--precisions", ",".join(PRECISIONS),
           "--seconds", "0.05", "--threads", "1", "--tactics", "pinned")
    for name in ("int8.onnx", "bf16.onnx", "fp16.onnx", "calibration.json", "int8.narrow", "bf16.narrow", "fp16.narrow"):
        first, second = (hashlib.sha256((d / name).read_bytes()).hexdigest() for d in (built, tmp_path / "out"))
        assert first == second, name


def test_pinned_tactics_give_the_same_files_and_time_nothing(narrow, tmp_path):
    digests = set()
    for name in ("a", "b"):
        narrow("build", MODEL, "--calib", CALIB, "--precisions", "fp32,int8", "--tactics", "pinned", "--seconds", "0.1",
               "--out", tmp_path / name, environment={"NARROW_CACHE": str(tmp_path / f"cache_{name}")})
        assert not (tmp_path / f"cache_{name}").exists()
        for precision in ("fp32", "int8"):
            content = (tmp_path / name / f"{precision}.narrow").read_bytes()
            assert b'"tactics"' not in content
            digests.add((precision, hashlib.sha256(content).hexdigest()))
    assert len(digests) == 2


def test_tuned_tactics_are_remembered_and_explained(narrow, isas, tmp_path):
    if isas[-1] in ("plain", "avx2"):
        pytest.skip("one kernel for each layer")
    environment = {"NARROW_CACHE": str(tmp_path / "cache")}
    for name in ("a", "b"):
        narrow("build", MODEL, "--calib", CALIB, "--precisions", "fp32,int8", "--seconds", "0.1", "--out", tmp_path / name,
               environment=environment)
    files = list((tmp_path / "cache").iterdir())
    assert len(files) == 1 and files[0].name.startswith("tactics-")
    for precision in ("fp32", "int8"):
        first, second = ((tmp_path / name / f"{precision}.narrow").read_bytes() for name in ("a", "b"))
        assert b'"tactics"' in first and first == second
    steps = narrow("explain", tmp_path / "a" / "int8.narrow", "--json").json["steps"]
    lost = [r["reason"] for step in steps for r in step["rejected"] if " us, " in r["reason"]]
    assert lost and all(reason.startswith("takes ") for reason in lost)


def test_tactics_of_another_name(narrow):
    done = narrow("build", MODEL, "--calib", CALIB, "--out", "nowhere", "--tactics", "best", code=2)
    assert "--tactics" in done.stderr and "tuned or pinned" in done.stderr


@pytest.mark.parametrize("gate, code", [("top1.drop<=50pp", 0), ("sqnr>=90dB", 3), ("top1.drop<=nonsense", 2),
                                        ("top1.drop<=1", 2), ("colour<=1", 2), ("perplexity.rise<=1%", 1)])
def test_gates_decide_the_exit_code_of_verify(narrow, built, gate, code):
    done = narrow("verify", built / "int8.narrow", "--reference", MODEL, "--data", EVAL, "--gate", gate, code=code)
    assert code in (0, 3) or "gate" in done.stderr


@pytest.mark.parametrize("kind", ["narrow", "onnx"])
def test_verify_sees_the_layers_of_a_rescaled_build_as_build_does(narrow, built, kind):
    """int8 was equalised: most of its values differ from the original's by factors of channels. `build` compares with FP32 after
    that, `verify` has the original alone and fits the factors."""
    theirs = {layer["node"]: layer for build in manifest(built)["builds"] if build["name"] == "int8" for layer in build["layers"]}
    done = narrow("verify", built / f"int8.{kind}", "--reference", MODEL, "--data", EVAL, "--json")
    assert len(done.json["rescaled"]) > len(theirs) / 2
    seen = [layer for layer in done.json["layers"] if layer["op"] == "FusedConv"]
    assert len(seen) >= 5
    for layer in seen:
        for figure in ("isolated", "accumulated"):
            assert abs(layer[figure]["sqnr_db"] - theirs[layer["node"]][figure]["sqnr_db"]) < 2, (layer["node"], figure)


def test_a_failed_gate_still_writes_the_build(narrow, tmp_path):
    done = narrow("build", MODEL, "--calib", CALIB, "--eval", EVAL, "--out", tmp_path / "out", "--precisions", "fp32,int8",
                  "--seconds", "0.05", "--gate", "sqnr>=90dB", "--json", code=3)
    assert (tmp_path / "out" / "int8.narrow").exists() and (tmp_path / "out" / "manifest.json").exists()
    assert manifest(tmp_path / "out") == done.json


def test_an_interval_across_the_bound_is_inconclusive_when_proof_is_asked_for(narrow, built):
    verify = ["verify", built / "int8.narrow", "--reference", MODEL, "--data", EVAL, "--proof", "ci", "--json"]
    low, high = narrow(*verify).json["figures"]["top1"]["interval"]
    assert low < high
    done = narrow(*verify, "--gate", f"top1>={(low + high) / 2:.3f}%", code=4)
    assert done.json["gates"][0]["verdict"] == "inconclusive"


def test_mixed_widens_layers_until_the_gate_holds(narrow, built, tmp_path):
    figures = {b["name"]: b["figures"] for b in manifest(built)["builds"]}
    sqnr = {name: f["sqnr"]["value"] for name, f in figures.items() if name != "fp32"}
    gate = f"sqnr>={sqnr['int8'] + 2:.1f}dB"  # more than int8 has, much less than bf16
    done = narrow("build", MODEL, "--calib", CALIB, "--eval", EVAL, "--out", tmp_path / "out", "--precisions",
                  "fp32,int8,mixed", "--tactics", "pinned", "--seconds", "0.05", "--gate", gate, "--json")
    builds = {b["name"]: b for b in done.json["builds"]}
    assert builds["int8"]["gates"][0]["verdict"] == "failed"
    assert builds["mixed"]["gates"][0]["verdict"] == "passed"
    assert builds["int8"]["bytes"] < builds["mixed"]["bytes"] < builds["fp32"]["bytes"]


def test_without_evaluation_data_no_accuracy_is_claimed(narrow, tmp_path):
    done = narrow("build", MODEL, "--calib", CALIB, "--out", tmp_path / "out", "--precisions", "int8", "--seconds", "0.05")
    assert "No --eval" in done.stdout
    names = {f.name for f in (tmp_path / "out").iterdir()}
    assert "int8.narrow" in names and "fp32.narrow" not in names


def test_an_old_folder_is_replaced_as_a_whole(narrow, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "stale").write_text("from another time")
    narrow("build", MODEL, "--calib", CALIB, "--out", out, "--precisions", "bf16", "--seconds", "0.05")
    assert not (out / "stale").exists() and (out / "bf16.narrow").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_options_from_a_file(narrow, tmp_path):
    config = tmp_path / "narrow.toml"
    config.write_text(f'calib = "{CALIB}"\nprecisions = "int8"\nseconds = 0.05\nout = "{tmp_path / "out"}"\n')
    narrow("build", MODEL, "--config", config)
    assert (tmp_path / "out" / "int8.onnx").exists()


def test_metric_command(narrow, tmp_path):
    """A program of the user's counts right answers; the gate is on its figure."""
    program = tmp_path / "count.py"
    program.write_text("import sys, numpy as np\na = np.load(sys.argv[1])\n"
                       "print('right', 100 * np.mean(a['logits'].argmax(1) == a['labels']))\n")
    import sys
    done = narrow("build", MODEL, "--calib", CALIB, "--eval", EVAL, "--out", tmp_path / "out", "--precisions", "fp32,int8",
                  "--seconds", "0.05", "--metric-cmd", f"{sys.executable} {program}", "--gate", "metric>=97", "--json")
    for build in done.json["builds"]:
        figures = build["figures"]
        assert build["metric"] == pytest.approx(figures["top1"]["value"], abs=1e-6)
