"""`narrow profile`: every step of the plan, its work, shares and trace. Nothing here depends on how fast the machine is."""
import json

import pytest

from conftest import MODEL

FEW = ["--repetitions", "3"]


@pytest.fixture(scope="module", params=["onnx", "int8"])
def profiled(narrow, built, request):
    path = MODEL if request.param == "onnx" else built / "int8.narrow"
    return path, narrow("profile", path, *FEW, "--json").json


def test_every_step_of_the_plan_is_there(narrow, profiled):
    path, got = profiled
    explained = narrow("explain", path, "--json").json
    assert [(s["node"], s["op"], s["kernel"]) for s in got["steps"]] == [(s["node"], s["op"], s["kernel"]) for s in explained["steps"]]
    assert all(got[key] == explained[key] > 0 for key in ("arena_bytes", "arena_lower_bound"))
    assert all(s["ms"] > 0 for s in got["steps"] if s["macs"] > 0) and all(s["ms"] >= 0 for s in got["steps"])
    assert got["run_ms"] > 0 and got["steps_ms"] == pytest.approx(sum(s["ms"] for s in got["steps"]), rel=1e-3)
    assert sum(s["share"] for s in got["steps"]) == pytest.approx(1, rel=1e-3)
    assert got["explained"] == pytest.approx(got["steps_ms"] / got["run_ms"], rel=1e-3)


def test_macs_are_those_of_inspect(narrow, profiled):
    path, got = profiled
    assert got["macs"] == narrow("inspect", MODEL, "--json").json["macs"] == sum(s["macs"] for s in got["steps"])
    four = narrow("profile", path, *FEW, "--batch", "4", "--json").json
    assert four["macs"] == 4 * got["macs"]


def test_rates_and_limits_follow_from_work_and_time(profiled):
    _, got = profiled
    assert all(got["roofs"][name] > 0 for name in ("fp32_gops", "bf16_gops", "int8_gops", "memory_gb_s", "cache_gb_s"))
    for step in got["steps"]:
        if step["macs"]:
            assert step["gops"] == pytest.approx(2 * step["macs"] / step["ms"] / 1e6, rel=1e-2)
            roof = got["roofs"][f"{step['arithmetic']}_gops"]
            assert step["compute_share"] == pytest.approx(step["gops"] / roof, rel=1e-2)
        else:
            assert step["arithmetic"] == "-" and step["compute_share"] == 0
        assert step["limit"] in (("",) if step["kernel"] == "alias" else ("compute", "cache", "memory"))
    kernels = {(k["op"], k["kernel"]): k for k in got["kernels"]}
    assert sum(k["steps"] for k in kernels.values()) == len(got["steps"])
    assert sum(k["macs"] for k in kernels.values()) == got["macs"]


def test_int8_is_the_arithmetic_of_an_int8_build(narrow, built):
    steps = narrow("profile", built / "int8.narrow", *FEW, "--json").json["steps"]
    assert {s["arithmetic"] for s in steps if s["macs"]} == {"int8"}


def test_a_folder_stands_for_the_chosen_build(narrow, built, tmp_path):
    chosen = json.loads((built / "manifest.json").read_text())["decision"]["chosen"]
    assert narrow("profile", built, *FEW, "--json").json["file"] == str(built / f"{chosen}.narrow")
    (tmp_path / "manifest.json").write_text('{"decision": {"chosen": ""}, "builds": []}')
    assert "a decision that chose a build" in narrow("profile", tmp_path, code=1).stderr


def test_trace_has_an_event_per_step(narrow, tmp_path):
    path = tmp_path / "trace.json"
    steps = narrow("profile", MODEL, *FEW, "--trace", path, "--json").json["steps"]
    events = json.loads(path.read_text())["traceEvents"]
    assert len(events) == len(steps)
    for event, step in zip(events, steps):
        assert event["ph"] == "X" and event["cat"] == step["op"] and event["dur"] >= 0
        assert event["args"]["kernel"] == step["kernel"] and event["args"]["bytes"] == step["bytes"]
    starts = [event["ts"] for event in events]
    assert starts == sorted(starts)
    assert "trace.json" in narrow("profile", MODEL, *FEW, "--trace", tmp_path / "no" / "trace.json", code=1).stderr


def rows(text):
    """Lines of the table of steps."""
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("step"))
    return lines[first + 1:lines.index("", first)]


def test_top_and_all(narrow, built):
    shown = rows(narrow("profile", built / "int8.narrow", *FEW, "--top", "3").stdout)
    assert len(shown) == 4 and shown[-1].startswith("and 9 steps more")
    every = rows(narrow("profile", built / "int8.narrow", *FEW, "--all").stdout)
    plan = narrow("profile", built / "int8.narrow", *FEW, "--json").json["steps"]
    assert [line.split()[0] for line in every] == [step["node"] or ",".join(step["outputs"]) for step in plan]
    narrow("profile", MODEL, "--all", "--top", "3", code=2)


def test_errors(narrow, tmp_path):
    assert "no.onnx" in narrow("profile", tmp_path / "no.onnx", code=1).stderr
    assert "manifest.json" in narrow("profile", tmp_path, code=1).stderr
    narrow("profile", MODEL, "--repetitions", "0", code=2)
