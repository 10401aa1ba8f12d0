"""The engine against ONNX Runtime, against itself on fewer threads and under lower instruction sets."""
import numpy as np
import pytest

from conftest import MODEL, digits, onnx_runtime


def test_fp32_answers_like_onnx_runtime(narrow, built, tmp_path):
    feeds, _ = digits("eval")
    expected = onnx_runtime(MODEL, feeds)["logits"]
    for path in (MODEL, built / "fp32.narrow"):
        answer = narrow.outputs(path, feeds, tmp_path)["logits"]
        assert answer.dtype == np.float32 and answer.shape == expected.shape
        assert np.abs(answer - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16", "int8"])
def test_portable_files_agree_in_onnx_runtime(narrow, built, tmp_path, precision):
    feeds, _ = digits("eval")
    theirs = onnx_runtime(built / f"{precision}.onnx", feeds)["logits"]
    ours = narrow.outputs(built / f"{precision}.narrow", feeds, tmp_path)["logits"]
    assert np.mean(ours.argmax(1) == theirs.argmax(1)) >= 0.99
    noise = np.sum((ours.astype(np.float64) - theirs) ** 2) / np.sum(theirs.astype(np.float64) ** 2)
    # int8: a rounding tie may fall to another code; half precision: the order of sums differs.
    assert noise < {"fp32": 1e-10, "fp16": 1e-5, "bf16": 1e-3, "int8": 1e-3}[precision]


# Not bf16 and fp16: their portable files compute in FP32 between casts, the artifacts in the narrow type.
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_portable_file_runs_here_as_the_artifact_does(narrow, built, tmp_path, precision):
    feeds, _ = digits("calib")
    portable, native = (narrow.outputs(built / f"{precision}.{kind}", feeds, tmp_path)["logits"] for kind in ("onnx", "narrow"))
    assert np.array_equal(portable, native)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16", "int8"])
def test_thread_counts_give_the_same_bits(narrow, built, tmp_path, precision):
    feeds, _ = digits("calib")
    one, *others = (narrow.outputs(built / f"{precision}.narrow", feeds, tmp_path, "--threads", n)["logits"] for n in (1, 2, 3, 5))
    assert all(np.array_equal(one, other) for other in others)


def test_batches_give_the_answers_of_single_samples(narrow, built, tmp_path):
    feeds, _ = digits("calib")
    few = feeds["input"][:5]
    together = narrow.outputs(built / "int8.narrow", {"input": few}, tmp_path)["logits"]
    alone = [narrow.outputs(built / "int8.narrow", {"input": few[i:i + 1]}, tmp_path)["logits"] for i in range(5)]
    assert np.array_equal(together, np.concatenate(alone))


def test_every_instruction_set_gives_the_same_int8_bits(narrow, built, isas, tmp_path):
    feeds, _ = digits("calib")
    answers = {isa: narrow.outputs(built / "int8.narrow", feeds, tmp_path, environment={"NARROW_MAX_ISA": isa})["logits"]
               for isa in isas}
    differing = [isa for isa in isas if not np.array_equal(answers[isa], answers[isas[0]])]
    assert not differing, f"other bits than {isas[0]}: {differing}"


def test_every_instruction_set_gives_the_fp32_answer(narrow, built, isas, tmp_path):
    feeds, _ = digits("calib")
    expected = onnx_runtime(MODEL, feeds)["logits"]
    for isa in isas:
        answer = narrow.outputs(built / "fp32.narrow", feeds, tmp_path, environment={"NARROW_MAX_ISA": isa})["logits"]
        assert np.abs(answer - expected).max() <= 1e-5 * np.abs(expected).max(), isa


def test_bytes_are_taken_where_floats_are_wanted(narrow, built, tmp_path):
    pixels = np.arange(64, dtype=np.uint8).reshape(1, 1, 8, 8) % 17
    as_bytes = narrow.outputs(built / "fp32.narrow", {"input": pixels}, tmp_path)["logits"]
    as_floats = narrow.outputs(built / "fp32.narrow", {"input": pixels.astype(np.float32)}, tmp_path)["logits"]
    assert np.array_equal(as_bytes, as_floats)
