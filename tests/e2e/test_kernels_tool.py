"""narrow-kernels as its users meet it: lines in, tables and exit codes out."""
import pathlib
import re

import pytest

from conftest import ISAS, ROOT, Narrow

FAMILIES = ["conv", "matmul", "pool", "binary", "unary", "quantize", "dequantize", "convert", "softmax", "norm",
            "group_norm", "lrn", "reduce", "resize", "attention"]
CASE = "conv src=u8 weights=s8 dst=u8 h=6 w=7 c=20 oc=33 kernel=3x3 pad=1x1 bias act=relu seed=7"


@pytest.fixture(scope="session")
def kernels(narrow):
    binary = pathlib.Path(narrow.binary).parent / "narrow-kernels"
    assert binary.exists(), f"{binary}: build it first (scripts/build.sh)"
    return Narrow(binary)


def rows(text):
    """Cells of a table's lines: two blanks or more between them."""
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines()]


def listed(kernels, **options):
    return [dict(zip(["family", "candidate", "isa", "usable", "takes"], row)) for row in rows(kernels("list", **options).stdout)[1:]]


def test_list_names_every_family_and_what_is_usable(kernels, isas):
    found = listed(kernels)
    assert list(dict.fromkeys(row["family"] for row in found)) == FAMILIES
    assert all(row["usable"] == ("yes" if row["isa"] in isas else "no") for row in found)
    capped = listed(kernels, environment={"NARROW_MAX_ISA": "plain"})
    assert {row["isa"] for row in capped if row["usable"] == "yes"} == {"plain"}


def test_the_manual_lists_the_candidates(kernels):
    page = (ROOT / "docs/kernels.md").read_text()
    for row in listed(kernels):
        name = f"{row['candidate']}` | {row['isa']}" if row["family"] == "conv" else row["family"] + "`"
        assert re.search(re.escape("| `" + name) + r".* \| " + re.escape(row["takes"].replace("*", "·")) + r" \|", page), row


@pytest.mark.parametrize("family", FAMILIES)
def test_list_of_a_family_says_its_fields(kernels, family):
    text = kernels("list", family).stdout
    assert text.startswith(family + ": ") and "seed" in text and "default" in text


def test_check_runs_what_takes_the_case(kernels, isas):
    text = kernels("check", CASE).stdout
    assert text.splitlines()[0].startswith(CASE.replace(" bias", " out=6x7 bias"))
    results = {row[0]: row[2] for row in rows(text)[2:]}
    assert results["conv_int8_plain"] == "agrees"
    assert results["conv_f32_plain"].startswith("not run: ")
    assert (results["conv_int8_avx2"] == "agrees") == ("avx2" in isas)


def test_a_case_needs_no_quotes(kernels):
    assert kernels("check", *CASE.split()).stdout == kernels("check", CASE).stdout


def test_the_cap_holds_for_kernels(kernels):
    text = kernels("check", CASE, environment={"NARROW_MAX_ISA": "plain"}).stdout
    ran = [row[0] for row in rows(text)[2:] if row[2] == "agrees"]
    assert ran == ["conv_int8_plain"]


def test_a_difference_has_its_own_exit_code_and_a_line_that_repeats_it(kernels):
    known = [line.removeprefix("differs: ") for line in (ROOT / "src/kernel_cases/regressions.txt").read_text().splitlines()
             if line.startswith("differs: ")]
    if not known:
        pytest.skip("no difference is known (src/kernel_cases/regressions.txt): the unit tests have one of their own")
    done = kernels("check", known[0], code=3)
    assert "differs" in done.stdout
    said = re.search(r"error: \w+: dst\[[\d,]+\]: expected .*, got .*, on 1 thread \(once more: narrow-kernels check '(.*)'\)", done.stderr)
    assert said, done.stderr
    kernels("check", said[1], code=3)


@pytest.mark.parametrize("arguments, said", [
    (["check", "cnov h=3"], "error: case: expected a family first, one of conv matmul"),
    (["check", "conv", "hight=3"], "error: conv case: expected fields out of src"),
    (["check", "conv h=x"], "error: h: expected an integer of 1 to 1048576, got 'x'"),
    (["check", "conv c=3 oc=4 groups=2"], "error: conv case: expected fields that fit together, got groups=2: wants a divisor"),
    (["time", "matmul m=0"], "error: m: expected an integer of 1 to 1048576, got '0'"),
    (["fuzz", "--family", "gemm"], "error: case: expected a family first"),
    (["fuzz", "--cases", "0"], "--cases"),
    (["check"], "CASE is required"),
    ([], "A subcommand is required"),
])
def test_wrong_usage_is_told_from_a_difference(kernels, arguments, said):
    assert said in kernels(*arguments, code=2).stderr


def test_a_wrong_cap_is_wrong_usage(kernels):
    done = kernels("list", code=2, environment={"NARROW_MAX_ISA": "sse"})
    assert "NARROW_MAX_ISA: expected plain, avx2, avx2_vnni, avx512, avx512_vnni, avx512_bf16 or amx, got 'sse'" in done.stderr


@pytest.mark.parametrize("options", [[], ["--cold"], ["--threads", "2"]])
def test_time_has_a_row_for_each_candidate_that_ran(kernels, options):
    text = kernels("time", CASE, "--seconds", "0.01", *options).stdout
    table = [row for row in rows(text) if row[0].startswith("conv_int8")]
    assert "conv_int8_plain" in [row[0] for row in table]
    for row in table:
        median, p10, p90, gop, gb, runs = map(float, row[2:])
        assert 0 < p10 <= median <= p90 and gop > 0 and gb > 0 and runs >= 5
    macs = 6 * 7 * 33 * 9 * 20
    median, gop = float(table[0][2]), float(table[0][5])
    assert gop == pytest.approx(2 * macs / median / 1e3, rel=2e-3)
    assert ("cold: " in text) == ("--cold" in options)


def test_time_of_some_candidates_only(kernels):
    text = kernels("time", CASE, "--seconds", "0.01", "--only", "conv_int8_pl").stdout
    assert [row[0] for row in rows(text) if row[0].startswith("conv_")] == ["conv_int8_plain"]


@pytest.mark.parametrize("family", FAMILIES)
def test_fuzz_finds_nothing_and_repeats_itself(kernels, family):
    arguments = ["fuzz", "--cases", "40", "--seed", "3", "--family", family]
    text = kernels(*arguments).stdout
    assert text.splitlines()[-1] == "40 cases of seed 3: all agree"
    assert kernels(*arguments).stdout == text


@pytest.mark.parametrize("isa", ISAS)
def test_fuzz_under_every_cap(kernels, isa):
    kernels("fuzz", "--cases", "60", environment={"NARROW_MAX_ISA": isa})
