"""Fixtures of the peer tests: those of tests/e2e, and the models of the example and the data pack as tasks."""
import importlib.util
import pathlib

import pytest

from tasks import TASKS

spec = importlib.util.spec_from_file_location("e2e", pathlib.Path(__file__).resolve().parents[1] / "e2e" / "conftest.py")
e2e = importlib.util.module_from_spec(spec)
spec.loader.exec_module(e2e)
narrow, data_pack = e2e.narrow, e2e.data_pack


@pytest.fixture(scope="session")
def task(request):
    """The task named by the test's parameter; skipped when its model is part of a data pack that is not there."""
    found = TASKS[request.param]
    return found if found.bundled else found.in_pack(request.getfixturevalue("data_pack"))


@pytest.fixture(scope="session")
def builds(narrow, tmp_path_factory):
    """task -> the folder `narrow build` made of it, built once."""
    made = {}

    def build(task):
        if task.name not in made:
            made[task.name] = tmp_path_factory.mktemp(task.name) / "out"
            narrow("build", task.model, "--calib", task.calib_toml, "--out", made[task.name], "--precisions", "fp32,bf16,fp16,int8",
                   "--seconds", "0.1")
        return made[task.name]

    return build


@pytest.fixture(scope="session")
def quantized(tmp_path_factory):
    """(task, maker) -> the file the maker's quantizer writes for the task's model, made once."""
    made = {}

    def make(task, maker):
        key = (task.name, maker.__name__)
        if key not in made:
            made[key] = tmp_path_factory.mktemp(maker.__name__) / f"{task.name}.onnx"
            maker(task, made[key])
        return made[key]

    return make
