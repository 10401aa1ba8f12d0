#!/usr/bin/env python3
"""Writes docs/operators.md: every operator, its kernels, and its node cases of the onnx package.

    .deps/venv/bin/python scripts/operator_table.py [BUILD_FOLDER]
BUILD_FOLDER (build/release) holds narrow and narrow-node-cases. What there is comes from `narrow doctor --operators --json`,
    {"operators": [{"op", "domain", "since", "doc", "kernels": [{"name", "isa"}, ...]}, ...]}
best kernel first, "reference" the plain backend. A kernel may say its "formats" ("f32", "bf16", "f16", "u8", ...).
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

*Since*: the opset of that domain that first had it. *Kernels*: best first; in brackets the least instruction set and the element types;
`plain` runs everywhere and takes AVX2 or AVX-512 where it finds them. None: the reference backend runs it.
Convolutions and products run as `FusedConv` and `FusedMatMul` of the second table. *Cases* are the node cases of the onnx package {version} that use
the operator: how many give the expected answers, of how many. {passed} of {total} pass.

| operator | domain | since | what | kernels | cases |
| --- | --- | ---: | --- | --- | --- |
"""

ENGINE = """
## Operators of the engine

What passes make of them before a graph is planned: fused, and with the formats they compute in.

| operator | what | kernels |
| --- | --- | --- |
"""

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


def kernels(op):
    """ "conv_bf16_amx (amx: bf16), ..." without the reference backend."""
    shown = []
    for kernel in op["kernels"]:
        if kernel["name"] == "reference":
            continue
        formats = ", ".join(kernel.get("formats", []))
        shown.append(f"{kernel['name']} ({kernel['isa']}{': ' + formats if formats else ''})")
    return ", ".join(shown)


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
    unread = sorted(f"{op} ({domain_of[op]})" for op in domain_of if op not in known and not any(of_op[op]))
    out += FAILING.format(unread=", ".join(unread) or "none")
    for case in sorted(cases, key=lambda case: case.name):
        if problems[case.name] and not all(op not in known for op in case.ops):
            out += f"| {case.name} | {', '.join(sorted(case.ops))} | {cell(problems[case.name])[:160]} |\n"
    (ROOT / "docs" / "operators.md").write_text(out)
    print(f"docs/operators.md: {len(listed)} operators, {sum(p is None for p in problems.values())} of {len(cases)} cases pass")


if __name__ == "__main__":
    main()
