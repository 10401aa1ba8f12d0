"""What `verify` and `build` prove: intervals where few answers differ, early stops, sample counts, several builds on one set."""
import json

import numpy as np
import pytest

from conftest import DIGITS, MODEL

DATA = ("--reference", MODEL, "--data", DIGITS / "eval.toml")
Z2 = 1.959964 ** 2


@pytest.fixture(scope="module")
def verify(narrow, built):
    def run(precision, *options, code=0):
        return narrow("verify", built / f"{precision}.narrow", *DATA, "--json", "--quiet", *options, code=code).json

    return run


def test_answers_that_do_not_differ_are_not_certain(verify):
    """bf16 and FP32 are right on the same 400 digits: up to z^2 / (n + z^2) = 0.95 pp are open."""
    got = verify("bf16", "--gate", "top1.drop<=1pp", "--proof", "ci")
    top1 = got["figures"]["top1"]
    assert (top1["lost"], top1["gained"], top1["change"]) == (0, 0, 0)
    assert top1["change_interval"] == pytest.approx([-100 * Z2 / (400 + Z2), 100 * Z2 / (400 + Z2)], abs=1e-4)
    gate = got["gates"][0]
    assert gate["verdict"] == "passed" and gate["p"] < 0.025 and gate["level"] == 0.95
    assert verify("bf16", "--gate", "top1.drop<=0.9pp", "--proof", "ci", code=4)["gates"][0]["verdict"] == "inconclusive"
    assert verify("bf16", "--gate", "top1.drop<=0.9pp")["gates"][0]["verdict"] == "passed"


def test_sequential_takes_no_more_samples_than_it_needs(narrow, built, verify):
    got = verify("int8", "--gate", "top1.drop<=5pp", "--proof", "sequential")
    used = got["sequential"]["samples"]
    assert used == got["figures"]["samples"] and used + got["sequential"]["spared"] == 400 and used < 200
    gate = got["gates"][0]
    assert gate["verdict"] == "passed" and gate["p"] <= 0.025 and gate["interval"][1] <= 5
    assert verify("int8", "--gate", "top1.drop<=5pp", "--proof", "sequential") == got  # the same order every time
    other = verify("int8", "--gate", "top1.drop<=5pp", "--proof", "sequential", "--seed", "2")
    assert other["figures"]["cosine"]["value"] != got["figures"]["cosine"]["value"]
    text = narrow("verify", built / "int8.narrow", *DATA, "--gate", "top1.drop<=5pp", "--proof", "sequential").stdout
    assert f"{used} of 400 samples were taken, in random order; {400 - used} were not needed" in text


def test_sequential_fails_soon_and_is_open_at_the_end(verify):
    failed = verify("int8", "--gate", "agreement<=50%", "--proof", "sequential", code=3)
    assert failed["gates"][0]["verdict"] == "failed" and failed["sequential"]["samples"] < 50
    undecided = verify("int8", "--gate", "top1.drop<=0.5pp", "--proof", "sequential", code=4)
    assert undecided["sequential"] == {"samples": 400, "spared": 0} and undecided["gates"][0]["verdict"] == "inconclusive"


@pytest.mark.parametrize("gates, said", [((), "a gate about answers"), (("metric<=1",), "samples are resampled for"),
                                         (("size<=1x",), "a gate about answers"), (("top1.drop<=100pp",), "between -100 and 100")])
def test_sequential_says_what_it_cannot_decide(narrow, built, gates, said):
    options = [option for gate in gates for option in ("--gate", gate)]
    done = narrow("verify", built / "int8.narrow", *DATA, "--proof", "sequential", *options, code=2)
    assert said in done.stderr


def test_tolerance_says_how_many_samples(narrow, built, verify):
    plan = verify("int8", "--tolerance", "1pp")["plan"]
    figures = verify("int8")["figures"]
    discordance = (figures["top1"]["lost"] + figures["top1"]["gained"]) / 400
    assert plan["by"] == "top1" and plan["discordance"] == pytest.approx(discordance)
    assert plan["samples_needed"] >= Z2 * 0.99 / 0.01 - 1  # what 0 of n needs
    assert plan["samples_to_detect"]["kld"] == figures["kld"]["samples_to_detect"]
    assert verify("int8", "--tolerance", "0.5pp")["plan"]["samples_needed"] > plan["samples_needed"]
    assert "samples show a drop below 1 pp with 80% power" in narrow("verify", built / "int8.narrow", *DATA, "--tolerance", "1pp").stdout
    for wrong in ("1", "1%", "0pp"):
        narrow("verify", built / "int8.narrow", *DATA, "--tolerance", wrong, code=2)


def test_margins_are_those_of_the_outputs(narrow, built, verify, tmp_path):
    got = verify("int8", "--gate", "margin.drop<=50%", "--gate", "margin_halved<=50%")["figures"]
    with np.load(DIGITS / "eval.npz") as arrays:
        feeds = {"input": arrays["input"].astype(np.float32) / 16}
    theirs, ours = (narrow.outputs(built / f"{name}.narrow", feeds, tmp_path)["logits"] for name in ("fp32", "int8"))
    rows, answer = np.arange(len(theirs)), theirs.argmax(1)

    def margins(x):
        others = x.copy()
        others[rows, answer] = -np.inf
        return x[rows, answer] - others.max(1)

    assert got["margin"]["fp32"] == pytest.approx(margins(theirs).mean(), rel=1e-5)
    assert got["margin"]["value"] == pytest.approx(margins(ours).mean(), rel=1e-5)
    assert got["margin_halved"]["value"] == pytest.approx(100 * (margins(ours) < margins(theirs) / 2).mean())


def build(narrow, out, proof, gate, *more, code=0):
    return narrow("build", MODEL, "--calib", DIGITS / "calib.toml", "--eval", DIGITS / "eval.toml", "--out", out, "--precisions",
                  "fp32,bf16,int8,int4", "--gate", gate, "--proof", proof, "--seconds", "0.05", "--tactics", "pinned", "--quiet", *more, code=code)


def test_several_builds_on_one_set_get_wider_intervals(narrow, tmp_path):
    done = build(narrow, tmp_path / "out", "ci", "top1.drop<=3pp")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    compared = manifest["comparisons"]
    assert compared["tried"] == 3 and compared["corrected"] and compared["method"] == "Holm"
    # Whoever holds has 3, 2, 1 as divisors, in the order of their p.
    levels = sorted((1 - level) for level in compared["levels"].values())
    assert levels == pytest.approx([0.05 / 3, 0.05 / 2, 0.05]) and set(compared["levels"]) == {"bf16", "int8", "int4"}
    for b in manifest["builds"][1:]:
        assert b["gates"][0]["level"] == compared["levels"][b["name"]]
    assert compared["sentence"] in done.stdout and compared["sentence"] in (tmp_path / "out" / "report.html").read_text()


def test_point_says_that_the_best_of_several_flatters_itself(narrow, tmp_path):
    # with weights to nearest: by default these builds differ in no answer
    done = build(narrow, tmp_path / "out", "point", "agreement>=50%", "--recipe", "nearest")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    compared = manifest["comparisons"]
    assert compared["tried"] == 3 and not compared["corrected"] and "levels" not in compared
    assert "in agreement by up to" in compared["sentence"] and "not corrected" in compared["sentence"]
    assert compared["sentence"] in done.stdout


def test_trials_of_mixed_count(narrow, tmp_path):
    narrow("build", MODEL, "--calib", DIGITS / "calib.toml", "--eval", DIGITS / "eval.toml", "--out", tmp_path / "out", "--precisions",
           "fp32,int8,mixed", "--gate", "sqnr>=45dB", "--proof", "ci", "--seconds", "0.05", "--tactics", "pinned", "--quiet")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    names = {b["name"] for b in manifest["builds"]}
    assert "mixed" in names and manifest["comparisons"]["tried"] > len(names) - 1


def test_sequential_looks_a_few_times_at_means_without_bound(verify):
    """400 samples are looked at after 100 and after all."""
    passed = verify("int8", "--gate", "sqnr>=20dB", "--gate", "kld<=1", "--proof", "sequential")
    assert passed["sequential"]["samples"] == 100 and all(g["p"] <= 0.025 for g in passed["gates"])
    failed = verify("int8", "--gate", "kld<=1e-9", "--proof", "sequential", code=3)
    assert failed["sequential"]["samples"] == 100 and failed["gates"][0]["verdict"] == "failed"


@pytest.fixture(scope="module")
def builds_by(narrow, tmp_path_factory):
    def run(proof, precisions, *gates, code=0):
        options = [option for gate in gates for option in ("--gate", gate)]
        out = tmp_path_factory.mktemp("proof") / "out"
        return narrow("build", MODEL, "--calib", DIGITS / "calib.toml", "--eval", DIGITS / "eval.toml", "--precisions", precisions,
                      "--recipe", "nearest", "--group-size", "0", "--proof", proof, "--seconds", "0.02", "--objective", "size",
                      "--tactics", "pinned", *options, "--out", out, "--json", "--quiet", code=code).json

    return run


def verdicts(manifest):
    return {b["name"]: [g["verdict"] for g in b["gates"]] for b in manifest["builds"]}


def test_a_build_answers_no_more_samples_than_its_gates_need(builds_by):
    """bf16 and int8 keep FP32's margins, int2 with a scale per channel does not: all are clear, and as on all samples."""
    asked = ("bf16,int8,int2", "top1.drop<=5pp", "margin_halved<=20%")
    manifest, on_all = builds_by("sequential", *asked), builds_by("ci", *asked)
    taken = manifest["sequential"]
    for got in (manifest, on_all):
        assert verdicts(got)["bf16"] == verdicts(got)["int8"] == ["passed", "passed"] and "failed" in verdicts(got)["int2"]
    for built_one in manifest["builds"][1:]:
        name = built_one["name"]
        assert taken[name] == {"samples": built_one["figures"]["samples"], "available": 400, "decided": True}
        assert taken[name]["samples"] < 200
        assert name == "int2" or all(gate["p"] <= 0.025 / 2 for gate in built_one["gates"])  # the second of three by Holm
    assert manifest["comparisons"]["tried"] == 3 and manifest["options"]["proof"] == "sequential"
    again = builds_by("sequential", *asked)
    assert again["sequential"] == taken and verdicts(again) == verdicts(manifest)


def test_what_is_near_its_bound_stays_open_and_the_table_says_how_far_it_came(builds_by, narrow, tmp_path):
    assert builds_by("sequential", "int8", "top1.drop<=0.5pp", code=4)["sequential"]["int8"] == {
        "samples": 400, "available": 400, "decided": False}
    text = build(narrow, tmp_path / "out", "sequential", "top1.drop<=5pp").stdout
    assert " of 400  " in text and "Samples were taken in random order" in text and "int8 passed after" in text


def test_a_mix_is_proven_on_samples_that_its_trials_have_not_seen(builds_by):
    """int8 is below the bound, a mix above: trials have the first half of the order, the proof the other."""
    manifest = builds_by("sequential", "int8,mixed", "sqnr>=45dB")
    taken = manifest["sequential"]
    assert verdicts(manifest)["int8"] == ["failed"] and taken["int8"] == {"samples": 100, "available": 400, "decided": True}
    assert verdicts(manifest)["mixed"] == ["passed"] and manifest["comparisons"]["tried"] == 2
    assert 196 <= taken["mixed"]["available"] <= 200 and taken["mixed"]["samples"] <= taken["mixed"]["available"]


@pytest.mark.parametrize("options, said", [((), "no --eval"), (("--eval", DIGITS / "eval.toml"), "a gate about answers"),
                                           (("--eval", DIGITS / "eval.toml", "--gate", "metric<=1", "--metric-cmd", "true"), "--metric-cmd")])
def test_what_a_sequential_build_needs_is_said_first(narrow, tmp_path, options, said):
    done = narrow("build", MODEL, "--calib", DIGITS / "calib.toml", "--proof", "sequential", *options, "--out", tmp_path / "out", code=2)
    assert said in done.stderr and not (tmp_path / "out").exists()
