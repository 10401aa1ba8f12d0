#!/usr/bin/env python3
"""Writes docs/operators.md: every operator, its kernels, and its node cases of the onnx package.

    .deps/venv/bin/python scripts/operator_table.py [BUILD_FOLDER]
BUILD_FOLDER (build/release) holds narrow and narrow-node-cases. What there is comes from `narrow doctor --operators --json`,
    {"operators": [{"op", "domain", "since", "doc", "kernels": [{"name", "isa", "formats"}, ...]}, ...]}
best kernel first, "reference" the plain backend; "formats" are the element types it computes in ("f32", "bf16", "u8", ... or "any").
"""
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "node_cases"))
import node_cases  # noqa: E402

HEAD = """# Operators

Read from opset 7 to 28; older forms are rewritten to the newest at import. Every operator below runs in the plain reference backend; those of
convolutional and transformer networks also have kernels of their own, per instruction set. [narrow explain](commands/explain.md) names the kernel of
every node of a model, and why the ones before it in the table did not serve. A graph whose shapes depend on data (NonZero, Loop, a Reshape to a
computed shape) is planned up to there and interpreted node by node behind it.

`scripts/operator_table.py` writes this page.

"""

ONNX = """## ONNX operators

*Since*: the opset of that domain that first had it. *Kernel*: with the [element types](formats/numbers.md) it computes in (u8 and s8: int8 builds); it
runs everywhere and takes AVX2 or AVX-512 where it finds them. None: the reference backend runs it. Convolutions and products with constant weights
run as `FusedConv` and `FusedMatMul` of the second table. *Cases* are the node cases of the onnx package {version} that use
the operator: how many give the expected answers, of how many. {passed} of {total} pass.

| operator | domain | since | what | kernel | cases |
| --- | --- | ---: | --- | --- | --- |
"""

ENGINE = """
## Operators of the engine

What passes make of them before a graph is planned.

| operator | what | kernel |
| --- | --- | --- |
"""

BY_ISA = """
### {ops}

Kernels by instruction set and element type. Where a case allows it, those higher up are taken; `NARROW_MAX_ISA` caps the choice.

| | {formats} |
| --- |{rules}
"""

ISAS = (("amx", "AMX"), ("avx512_bf16", "AVX512-BF16"), ("avx512_vnni", "AVX-512 VNNI"), ("avx512", "AVX-512"), ("avx2_vnni", "AVX-VNNI"), ("avx2", "AVX2"), ("plain", "plain C++"))
FORMATS = (("f32", "fp32"), ("bf16", "bf16"), ("f16", "fp16"), ("u8", "int8"))

FAILING = """
## Cases that do not pass

Operators that are not read: {unread}.

| case | operators | what happens |
| --- | --- | --- |
"""


def cell(text):
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;").strip()


def operators(binary):
    done = subprocess.run([binary, "doctor", "--operators", "--json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{binary} doctor --operators --json: {done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1])["operators"]


def fast(op):
    """Its kernels without the reference backend."""
    return [kernel for kernel in op["kernels"] if kernel["name"] != "reference"]


def is_split(op):
    """Its kernels are one for each instruction set."""
    return any(kernel["isa"] != "plain" for kernel in fast(op))


def kernels(op):
    """ "unary (f32, bf16, f16)", without the reference backend."""
    if is_split(op):
        return "by instruction set, below"
    return ", ".join(f"{kernel['name']} ({', '.join(kernel['formats'])})" for kernel in fast(op))


def by_isa(ops):
    """A table per set of operators with the same kernels."""
    out, groups = "", collections.defaultdict(list)
    for op in filter(is_split, ops):
        groups[json.dumps(fast(op))].append(op)
    for group in groups.values():
        names = ", ".join(op["op"] for op in group)
        out += BY_ISA.format(ops=names, formats=" | ".join(name for _, name in FORMATS), rules=" --- |" * len(FORMATS))
        for isa, title in ISAS:
            cells = [", ".join(k["name"] for k in fast(group[0]) if k["isa"] == isa and kind in k["formats"]) for kind, _ in FORMATS]
            out += f"| {title} | {' | '.join(cells)} |\n"
    return out


def reason(case, problem):
    return cell(re.sub(rf" in {re.escape(case.name)}\.onnx", "", problem))[:150]


def main():
    build = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "release"
    listed = operators(build / "narrow")
    cases = node_cases.collect()
    with tempfile.TemporaryDirectory() as folder:
        problems = node_cases.run(build / "narrow-node-cases", cases, folder)
    of_op, domain_of = collections.defaultdict(list), {}
    for case in cases:
        for node in case.model.graph.node:
            domain_of[node.op_type] = node.domain or "ai.onnx"
        for op in case.ops:
            of_op[op].append(problems[case.name] is None)
    known = {op["op"] for op in listed}
    out = HEAD + ONNX.format(version=node_cases.onnx.__version__, total=len(cases), passed=sum(p is None for p in problems.values()))
    for op in sorted((op for op in listed if op["domain"] != "narrow"), key=lambda op: op["op"]):
        results = of_op[op["op"]]
        out += (f"| {op['op']} | {op['domain'] or 'ai.onnx'} | {op['since']} | {cell(op['doc'])} | {kernels(op)} | "
                f"{f'{sum(results)} / {len(results)}' if results else 'none'} |\n")
    out += ENGINE
    for op in sorted((op for op in listed if op["domain"] == "narrow"), key=lambda op: op["op"]):
        out += f"| {op['op']} | {cell(op['doc'])} | {kernels(op)} |\n"
    out += by_isa(listed)
    unread = sorted(f"{op} ({domain_of[op]})" for op in domain_of if op not in known and not any(of_op[op]))
    out += FAILING.format(unread=", ".join(unread) or "none")
    for case in sorted(cases, key=lambda case: case.name):
        if problems[case.name] and not all(op not in known for op in case.ops):
            ops = ", ".join(sorted(case.ops)) if len(case.ops) <= 4 else f"{len(case.ops)} operators"
            out += f"| {case.name} | {ops} | {reason(case, problems[case.name])} |\n"
    (ROOT / "docs" / "operators.md").write_text(out)
    print(f"docs/operators.md: {len(listed)} operators, {sum(p is None for p in problems.values())} of {len(cases)} cases pass")


if __name__ == "__main__":
    main()
