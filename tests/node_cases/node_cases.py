"""The node cases of the onnx package, run by narrow-node-cases in one go.

A case counts when every input and output is a plain NumPy array of floats, integers or booleans, and passes when every
output has the expected shape and values within the case's own tolerances. Cases with random answers are among them.
"""
import pathlib
import re
import subprocess
import warnings

import numpy as np
import onnx


class Case:
    def __init__(self, case):
        self.name, self.model, self.rtol, self.atol = case.name, case.model, case.rtol, case.atol
        self.inputs, self.outputs = case.data_sets[0]
        self.ops = {node.op_type for node in case.model.graph.node}

    def write(self, folder):
        onnx.save(self.model, folder / f"{self.name}.onnx")
        np.savez(folder / f"{self.name}.in.npz", **{i.name: a for i, a in zip(self.model.graph.input, self.inputs)})

    def problem(self, folder):
        """Nothing when the answers in the folder are right."""
        with np.load(folder / f"{self.name}.out.npz") as got:
            for output, want in zip(self.model.graph.output, self.outputs):
                have = got[output.name]
                if have.shape != want.shape:
                    return f"{output.name}: shape {have.shape}, expected {want.shape}"
                close = np.isclose(have.astype(np.float64), want.astype(np.float64), self.rtol, self.atol, equal_nan=True)
                if not close.all():
                    return f"{output.name}: {np.count_nonzero(~close)} of {close.size} values differ"


def collect():
    from onnx.backend.test.case.node import collect_testcases

    def plain(arrays):
        return all(isinstance(a, np.ndarray) and a.dtype.kind in "fiub" for a in arrays)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = collect_testcases(None)
        return [Case(c) for c in cases if c.model is not None and c.data_sets and plain(sum(c.data_sets[0], []))]


def run(binary, cases, folder):
    """{name: None when it passes, else what went wrong}. A crash is reported for its case, the rest still runs."""
    folder = pathlib.Path(folder)
    for case in cases:
        case.write(folder)
    problems, todo = {}, [case.name for case in cases]
    while todo:
        done = subprocess.run([binary, folder], input="".join(f"{n}\n" for n in todo), capture_output=True, text=True)
        began = re.findall(r"^begin (.*)$", done.stdout, re.M)
        problems.update(re.findall(r"^error ([^:]*): (.*)$", done.stdout, re.M))
        if done.returncode == 0:
            break
        assert began, f"{binary}: {done.stderr[-500:]}"
        problems[began[-1]] = f"crash, exit {done.returncode}: {done.stderr[-300:]}"
        todo = todo[todo.index(began[-1]) + 1:]
    return {case.name: problems[case.name] if case.name in problems else case.problem(folder) for case in cases}
