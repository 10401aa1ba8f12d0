"""Every node case of the onnx package: none crashes, and at least as many as before give the expected answers."""
import os
import pathlib
import sys

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests" / "node_cases"))

LEAST = 1390  # of 1460; raise it with the operators


def test_node_cases(narrow, tmp_path):
    binary = pathlib.Path(os.environ.get("NARROW_NODE_CASES", pathlib.Path(narrow.binary).parent / "narrow-node-cases"))
    if not binary.exists():
        pytest.skip(f"{binary} is not built (NARROW_TESTS is off)")
    node_cases = pytest.importorskip("node_cases", reason="the onnx package cannot be imported")
    problems = node_cases.run(binary, node_cases.collect(), tmp_path)
    failing = {name: problem for name, problem in problems.items() if problem}
    said = "\n".join(f"{name}: {problem}" for name, problem in failing.items())
    assert not any(problem.startswith("crash") for problem in failing.values()), said
    assert len(problems) - len(failing) >= LEAST, f"{len(problems) - len(failing)} of {len(problems)} pass\n{said}"
