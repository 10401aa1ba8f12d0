"""Every subcommand: help, --json, and that the steps one by one give what `build` gives."""
import json
import subprocess

import pytest

from conftest import DIGITS, MODEL

COMMANDS = ["build", "inspect", "calibrate", "data", "quantize", "run", "verify", "bench", "profile", "explain", "report",
            "doctor", "debug"]
SPEED_KEYS = {"median_ms", "p90_ms", "p99_ms", "throughput", "load_ms", "first_ms", "rss_mb", "arena_bytes", "bytes"}


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help(narrow, command):
    text = narrow(*([command] if command else []), "--help").stdout
    assert len(text.splitlines()) >= 5
    if command is None:
        assert all(name in text for name in COMMANDS) and "Exit codes" in text


def test_version(narrow):
    assert narrow("--version").stdout.strip() == "narrow 0.1.0"


def test_no_command_is_wrong_usage(narrow):
    assert narrow(code=2).stderr.strip()


def test_step_by_step_gives_what_build_gives(narrow, built, tmp_path):
    calibration = tmp_path / "calibration.json"
    done = narrow("calibrate", MODEL, "--data", DIGITS / "calib.toml", "--out", calibration, "--json")
    assert done.json["samples"] == 200
    assert calibration.read_bytes() == (built / "calibration.json").read_bytes()
    for precision in ("fp32", "bf16", "fp16", "int8"):
        for kind in ("onnx", "narrow"):
            out = tmp_path / f"{precision}.{kind}"
            done = narrow("quantize", MODEL, "--precision", precision, "--calibration", calibration, "--data", DIGITS / "calib.toml",
                          "--out", out, "--json")
            assert done.json["bytes"] == out.stat().st_size
            if kind == "onnx":
                assert out.read_bytes() == (built / out.name).read_bytes(), out.name


def test_recipes_choose_how_weights_are_rounded(narrow, tmp_path):
    def quantize(name, *arguments):
        out = tmp_path / f"{name}.onnx"
        done = narrow("quantize", MODEL, "--precision", "int4", "--out", out, "--json", *arguments)
        verdict = narrow("verify", out, "--reference", MODEL, "--data", DIGITS / "eval.toml", "--json")
        return out.read_bytes(), verdict.json["figures"]["sqnr"]["value"], done.json["recipe"]["notes"]

    data = ("--data", DIGITS / "calib.toml")
    nearest, plain, _ = quantize("nearest", *data, "--recipe", "nearest")
    gptq, better, notes = quantize("gptq", *data)
    assert better > plain + 3  # dB: half of the error's power
    assert any(note.startswith("gptq: 7 layers") for note in notes)
    assert quantize("named", *data, "--recipe", "gptq(samples=256)", "--threads", "1")[0] == gptq
    without, _, notes = quantize("without")
    assert without == nearest and any("gptq is left out: it needs calibration data (--data)" in note for note in notes)


def test_recipes_that_do_not_exist(narrow, tmp_path):
    done = narrow("quantize", MODEL, "--precision", "int4", "--out", tmp_path / "a.onnx", "--recipe", "gptq(depth=3)", code=2)
    assert "damping, samples, act_order, residual" in done.stderr and "'depth'" in done.stderr


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse", "entropy"])
def test_every_calibration_method_quantizes(narrow, built, tmp_path, method):
    out = tmp_path / "int8.narrow"
    narrow("quantize", MODEL, "--precision", "int8", "--calibration", built / "calibration.json", "--out", out,
           "--calib-method", method)
    done = narrow("verify", out, "--reference", MODEL, "--data", DIGITS / "eval.toml", "--gate", "top1.drop<=2pp", "--json")
    assert done.json["passed"] is True


def test_nodes_stay_wide_when_asked(narrow, built, tmp_path):
    base = ["quantize", MODEL, "--precision", "int8", "--calibration", built / "calibration.json", "--out"]
    recipes = [narrow(*base, tmp_path / "a.onnx", *extra, "--json").json["recipe"]["nodes"]
               for extra in ([], ["--wide", "conv_4"])]
    asked = [name for name, node in recipes[1].items() if "--wide" in node.get("reason", "")]
    assert len(asked) == 1 and recipes[0][asked[0]]["format"] == "int8" and recipes[1][asked[0]]["format"] == "fp32"


def test_inspect(narrow, built):
    got = narrow("inspect", MODEL, "--json").json
    assert got["inputs"][0]["name"] == "input" and got["outputs"][0]["name"] == "logits"
    # 64*9 + 64*9 + 64*64 + 128*64*9 + 128*9 + 128*128 weights and 10 x 128 of the last layer, each with its biases
    weights = 64 * 9 + 64 * 9 + 64 * 64 + 128 * 64 * 9 + 128 * 9 + 128 * 128 + 1280
    assert weights <= got["parameters"] <= weights + 3 * 64 + 3 * 128 + 10
    assert got["layers_with_arithmetic"] == 7
    macs = 64 * (64 * 9 + 64 * 9 + 64 * 64) + 16 * (128 * 64 * 9 + 128 * 9 + 128 * 128) + 1280
    assert got["macs"] == macs
    assert "conv_1" in narrow("inspect", MODEL, "--layers").stdout
    assert narrow("inspect", built / "int8.narrow", "--json").json["about"]["precision"] == "int8"


def test_bench_of_one_build(narrow, built):
    got = narrow("bench", built / "int8.narrow", "--seconds", "0.1", "--json").json
    assert SPEED_KEYS <= set(got) and got["random_inputs"] is True
    assert 0 < got["median_ms"] <= got["p90_ms"] <= got["p99_ms"]
    assert got["bytes"] == (built / "int8.narrow").stat().st_size


def test_bench_of_several_builds_on_data(narrow, built):
    got = narrow("bench", built / "fp32.narrow", built / "int8.narrow", MODEL, "--seconds", "0.1", "--batch", "4", "--data",
                 DIGITS / "eval.toml", "--json").json
    assert len(got["builds"]) == 3 and all(SPEED_KEYS <= set(b) for b in got["builds"]) and got["random_inputs"] is False
    for build in got["builds"]:
        assert build["throughput"] == pytest.approx(4000 / build["median_ms"], rel=0.5)


def test_bench_of_streams(narrow, built):
    files = [built / "fp32.narrow", built / "int8.narrow"]
    done = narrow("bench", *files, "--seconds", "0.1", "--threads", "3", "--streams", "2", "--batch", "4", "--json")
    assert "throughput: 2 streams of 1 thread" in done.stderr
    assert (done.json["streams"], done.json["threads_per_stream"], done.json["environment"]["threads"]) == (2, 1, 2)
    for build in done.json["builds"]:
        assert SPEED_KEYS <= set(build) and 0 < build["median_ms"] <= build["p90_ms"] <= build["p99_ms"]
        # Two streams that are never idle answer 2 * batch a latency, whatever the machine does meanwhile.
        raw = narrow("bench", build["name"], "--seconds", "0.05", "--threads", "2", "--streams", "2", "--raw", "--json").json
        mean = sum(raw["samples_ms"]) / len(raw["samples_ms"])
        assert raw["throughput"] == pytest.approx(2 * 1000 / mean, rel=0.3)
    one = narrow("bench", files[1], "--seconds", "0.05", "--threads", "2", "--pin", "--json").json
    assert (one["streams"], one["threads_per_stream"]) == (1, 2)


def test_explain(narrow, built):
    folder = narrow("explain", built)
    assert "fallback order" in folder.stdout
    steps = narrow("explain", built / "int8.narrow", "--json").json["steps"]
    assert all(step["kernel"] for step in steps)


def test_verify_names_every_layer(narrow, built):
    got = narrow("verify", built / "int8.narrow", "--reference", MODEL, "--data", DIGITS / "eval.toml", "--json").json
    layers = json.dumps(got["layers"])
    assert got["passed"] is True and all(f"conv_{i}" in layers for i in range(1, 7)) and "gemm_1" in layers


def test_doctor(narrow):
    got = narrow("doctor", "--json").json
    assert got["cores"] >= 1 and got["formats"]["fp32"]["native"] is True
    capped = narrow("doctor", "--json", environment={"NARROW_MAX_ISA": "plain"}).json
    assert capped["isa"] == "plain" and capped["best_isa"] == got["best_isa"]


@pytest.mark.parametrize("arguments", [["inspect", MODEL], ["doctor"]])
def test_with_json_stdout_is_one_line(narrow, arguments):
    assert len(narrow(*arguments, "--json").stdout.splitlines()) == 1


def test_quiet_says_nothing_while_it_works(narrow, tmp_path):
    done = narrow("calibrate", MODEL, "--data", DIGITS / "calib.toml", "--out", tmp_path / "c.json", "--quiet")
    assert done.stderr == ""


def test_progress_goes_to_stderr(narrow, tmp_path):
    done = narrow("calibrate", MODEL, "--data", DIGITS / "calib.toml", "--out", tmp_path / "c.json")
    assert "calibrate" in done.stderr and "\r" not in done.stderr


def test_stdout_may_be_closed(narrow):
    """`narrow ... | head -0` must not hang or crash."""
    done = subprocess.run(f"'{narrow.binary}' inspect '{MODEL}' --layers | head -n 0", shell=True, timeout=60)
    assert done.returncode == 0


def test_doctor_lists_operators_and_their_kernels(narrow):
    operators = {op["op"]: op for op in narrow("doctor", "--operators", "--json").json["operators"]}
    assert len(operators) > 180 and operators["LayerNormalization"]["since"] == 17
    fused = [kernel["name"] for kernel in operators["FusedConv"]["kernels"]]
    assert {"conv_int8_amx", "conv_bf16_avx512bf16", "conv_int8_avx2", "conv_f32_avx512", "reference"} <= set(fused)
    for name, op in operators.items():
        assert op["doc"], name
        for kernel in op["kernels"]:
            assert kernel["isa"] in ("plain", "avx2", "avx2_vnni", "avx512", "avx512_vnni", "avx512_fp16", "avx512_bf16", "amx") and kernel["formats"], name


def test_options_before_the_model(narrow, tmp_path):
    narrow("build", "--calib", DIGITS / "calib.toml", "--precisions", "fp32", "--out", tmp_path / "out", "--seconds", "0.05",
           "--gate", "p99<=10000ms", MODEL)
    narrow("verify", "--reference", MODEL, "--data", DIGITS / "eval.toml", "--gate", "sqnr>=20dB", tmp_path / "out" / "fp32.narrow")


def test_unknown_isa_is_an_error(narrow):
    done = narrow("inspect", MODEL, environment={"NARROW_MAX_ISA": "sse9"}, code=2)
    assert "NARROW_MAX_ISA" in done.stderr and "avx512_vnni" in done.stderr
