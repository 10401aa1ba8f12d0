"""The C++ library as its users meet it: installed, found by CMake, linked into the program of examples/library."""
import subprocess

import numpy as np
import pytest

from conftest import MODEL, ROOT


def sh(*command):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@pytest.fixture(scope="module")
def installed(narrow, tmp_path_factory):
    build = narrow.binary.parent
    if not (build / "CMakeCache.txt").exists():
        pytest.skip(f"{narrow.binary} does not lie in its build folder, so there is nothing to install from")
    prefix = tmp_path_factory.mktemp("prefix")
    sh("cmake", "--install", build, "--prefix", prefix)
    return prefix


@pytest.fixture(scope="module")
def example(installed, tmp_path_factory):
    build = tmp_path_factory.mktemp("example")
    sh("cmake", "-S", ROOT / "examples" / "library", "-B", build, f"-DCMAKE_PREFIX_PATH={installed}",
       "-DCMAKE_BUILD_TYPE=Release")
    sh("cmake", "--build", build)
    return build / "narrow_example"


def run(program, *args):
    return subprocess.run([program, *map(str, args)], capture_output=True, text=True, timeout=60)


def test_the_installed_program_is_whole(installed):
    done = run(installed / "bin" / "narrow", "--version")
    assert done.returncode == 0 and done.stdout.startswith("narrow ")


def test_headers_need_nothing_but_the_standard_library(installed, tmp_path):
    """Every header alone, with all warnings, and no include path but its own."""
    for header in sorted((installed / "include" / "narrow").glob("*.h")):
        source = tmp_path / "alone.cpp"
        source.write_text(f"#include <narrow/{header.name}>\n")
        sh("c++", "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror",
           f"-I{installed / 'include'}", source)


@pytest.mark.parametrize("name", ["fp32.narrow", "int8.narrow", "int8.onnx", "original"])
def test_the_example_answers_as_narrow_run_does(narrow, built, example, name, tmp_path):
    model = MODEL if name == "original" else built / name
    done = run(example, model)
    assert done.returncode == 0, done.stderr
    wanted = narrow.outputs(model, {"input": np.zeros((1, 1, 8, 8), np.float32)}, tmp_path)["logits"]
    assert done.stdout == f"logits: f32[1,10], largest at {wanted.argmax()}\n"


def test_the_example_says_what_is_wrong(example, tmp_path):
    missing = run(example, tmp_path / "missing.narrow")
    assert missing.returncode == 1 and missing.stdout == ""
    assert "missing.narrow" in missing.stderr and "not_found" in missing.stderr
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    assert run(example, broken).returncode == 1
    assert run(example).returncode == 2
