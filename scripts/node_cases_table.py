#!/usr/bin/env python3
"""Writes docs/operators.md: every operator and its node cases of the onnx package.

    .deps/venv/bin/python scripts/node_cases_table.py [BUILD_FOLDER]
BUILD_FOLDER (build/release) holds narrow-node-cases.
"""
import collections
import pathlib
import re
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "node_cases"))
import node_cases  # noqa: E402

HEAD = """# Operators

Read from opset 7 to 28. Every operator below runs in the plain reference backend; those of convolutional and transformer
networks also have kernels of their own (`narrow explain` names the kernel of every node). *Cases* are the node cases of
the onnx package {version} that use the operator: how many give the expected answers, of how many. A graph whose
shapes depend on data (NonZero, Loop, a Reshape to a computed shape) is interpreted node by node instead of planned.

{passed} of {total} cases pass. This page is written by `scripts/node_cases_table.py`.

| operator | domain | cases | what fails, first |
| --- | --- | --- | --- |
"""


def known_ops():
    lines = (ROOT / "src/ir/ops.inc").read_text().splitlines()
    names = [m[1] for m in (re.match(r"NARROW_OP\((\w+)\)", line) for line in lines) if m]
    return [name for name in names if not name.startswith("Fused")]


def main():
    build = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "release"
    cases = node_cases.collect()
    with tempfile.TemporaryDirectory() as folder:
        problems = node_cases.run(build / "narrow-node-cases", cases, folder)
    rows, domains = collections.defaultdict(list), {}
    for case in cases:
        for node in case.model.graph.node:
            domains[node.op_type] = node.domain or "ai.onnx"
        for op in case.ops:
            rows[op].append(problems[case.name])
    known = known_ops()
    out = HEAD.format(version=node_cases.onnx.__version__, total=len(cases),
                      passed=sum(problem is None for problem in problems.values()))
    for op in sorted(set(known) | set(rows)):
        failing = [problem for problem in rows[op] if problem]
        reason = "not read" if op not in known and failing else re.sub(r"[|`<>]", " ", failing[0])[:110] if failing else ""
        count = f"{len(rows[op]) - len(failing)} / {len(rows[op])}" if rows[op] else "none"
        out += f"| {op} | {domains.get(op, '')} | {count} | {reason} |\n"
    (ROOT / "docs" / "operators.md").write_text(out)
    print(f"docs/operators.md: {len(cases) - sum(p is not None for p in problems.values())} of {len(cases)} pass")


if __name__ == "__main__":
    main()
