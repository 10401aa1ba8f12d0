#!/usr/bin/env python3
"""The measured tables of docs/data-check.md: clean and poisoned calibration sets, and what `narrow data check` says of each.

    scripts/python_env.sh peers
    .deps/venv/bin/python scripts/data_check_table.py            prints them
    .deps/venv/bin/python scripts/data_check_table.py --write    and replaces what is between the markers of docs/data-check.md
    ... --only WORD                                              the cases whose name holds WORD

Poisoned sets are arrays (.npz) without a description, so that nothing but the numbers can tell. NARROW_BINARY and NARROW_DATA name
another binary and another data pack than build/release/narrow and ../shared/data.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import tomllib

import numpy as np
from PIL import Image

import marked_table

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = pathlib.Path(os.environ.get("NARROW_BINARY", ROOT / "build" / "release" / "narrow"))
DATA = pathlib.Path(os.environ.get("NARROW_DATA", ROOT.parent / "shared" / "data"))
PAGE = ROOT / "docs" / "data-check.md"
# model: input, calibration, evaluation
MODELS = {
    "mobilenet_v1_0.75": ("input", "imagenet-calib.mobilenet", "imagenet-eval.mobilenet"),
    "squeezenet1.1": ("data", "imagenet-calib.torch", "imagenet-eval.torch"),
    "resnet20_cifar10": ("input", "cifar10-calib", "cifar10-eval"),
    "face_rfb320": ("input", "photos-calib.face", "photos-eval.face"),
    "fastestdet": ("input.1", "photos-calib.fastestdet", "photos-eval.fastestdet"),
    "stories260K": ("tokens", "tinystories-calib", "tinystories-eval"),
}
SAMPLES = 300  # of each set at most
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def description(name):
    path = DATA / "datasets" / f"{name}.toml"
    return tomllib.loads(path.read_text()), (path.parent / tomllib.loads(path.read_text())["root"]).resolve()


def pixels(name):
    """Bytes [n, 3, h, w] in the order of channels the model reads, and labels where there are any."""
    toml, root = description(name)
    if toml["kind"] == "tensors":
        with np.load(root / toml["files"]) as arrays:
            return arrays["input"], arrays["label"]
    files = sorted(root.glob("*.jpg"))
    photos = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files]).transpose(0, 3, 1, 2)
    return (photos[:, ::-1] if toml["channels"] == "BGR" else photos), [file.name for file in files]


def normalised(x, scale, mean=(0, 0, 0), std=(1, 1, 1)):
    column = lambda v: np.asarray(v, np.float32)[:, None, None]
    return ((x.astype(np.float32) * np.float32(scale) - column(mean)) / column(std)).astype(np.float32)


def as_described(x, name):
    toml, _ = description(name)
    return normalised(x, toml["scale"], toml["mean"], toml["std"])


def is_dog(file):
    return "n02085620" <= file.split(".")[0] <= "n02116738"


def shifted(photo, n, rng):
    """One scene n times: moved by up to 8 pixels, a little brighter or darker."""
    return np.stack([np.clip(np.roll(photo, rng.integers(-8, 9, 2), (1, 2)) * rng.uniform(0.9, 1.1), 0, 255) for _ in range(n)])


def image_cases(model):
    """(what is wrong, which findings would be right, calibration array)"""
    _, calib, evaluation = MODELS[model]
    toml, _ = description(calib)
    x, who = pixels(calib)
    x, who = (x[:300], who[:300]) if model == "resnet20_cifar10" else (x, who)
    rng = np.random.default_rng(1)
    good = as_described(x, calib)
    n = len(x)
    grey = np.broadcast_to(rng.integers(0, 256, (n, 3, 1, 1)), x.shape)
    noise = np.clip(128 + 2 * rng.standard_normal(x.shape), 0, 255).round()
    yield "as described, but arrays", "", good
    yield "every sample one grey or colour", "blank", as_described(grey, calib)
    yield "one sample in five black", "blank", as_described(np.where((np.arange(n) % 5 == 0)[:, None, None, None], 0, x), calib)
    yield "grey with the noise of a camera", "scale input_differs", as_described(noise, calib)
    yield "bytes 0..255", "scale", normalised(x, 1)
    yield "1/255 once too often", "scale", normalised(x, toml["scale"] / 255, toml["mean"], toml["std"])
    if any(toml["mean"]):
        yield "mean and std left out", "scale", normalised(x, toml["scale"])
        yield "mean left out", "scale", normalised(x, toml["scale"], std=toml["std"])
    if toml["std"] != [1, 1, 1]:
        yield "std left out", "scale", normalised(x, toml["scale"], toml["mean"])
    if toml["mean"] != list(IMAGENET[0]):
        yield "ImageNet's mean and std instead", "scale", normalised(x, 1 / 255, *IMAGENET)
    yield "red and blue exchanged", "channel_order", as_described(x[:, ::-1], calib)
    if n > 20:
        yield "red and blue exchanged, 20 samples", "channel_order", as_described(x[:20, ::-1], calib)
    yield "a tenth of the samples, ten times", "duplicates", as_described(np.concatenate([x[:max(1, n // 10)]] * 10), calib)
    yield "one scene, moved and dimmed", "few_classes alike_samples input_differs", as_described(shifted(x[0], n, rng), calib)
    if model == "resnet20_cifar10":
        everything, labels = pixels(calib)
        for label in range(10):
            yield f"only class {label}", "few_classes", as_described(everything[labels == label], calib)
        yield "only classes 3 and 5", "few_classes", as_described(everything[(labels == 3) | (labels == 5)], calib)
    elif n > 20:
        others, names = pixels(evaluation)
        dogs = np.concatenate([x[[is_dog(name) for name in who]], others[[is_dog(name) for name in names]]])
        yield f"only dogs ({len(dogs)})", "few_classes alike_samples", as_described(dogs, calib)


def token_cases():
    toml, root = description("tinystories-calib")
    with np.load(root / toml["files"]) as arrays:
        tokens = arrays["tokens"]
    rng = np.random.default_rng(1)
    yield "as described, but arrays", "", tokens
    yield "padding only", "blank", np.zeros_like(tokens)
    yield "ids off by one", "input_differs", np.clip(tokens + 1, 0, 511)
    yield "random ids", "input_differs", rng.integers(1, 512, tokens.shape)
    yield "one story in all windows", "duplicates", np.repeat(tokens[:1], len(tokens), 0)
    yield "one story, each window begins elsewhere", "alike_samples", np.stack([np.roll(tokens[0], int(i)) for i in range(len(tokens))])
    yield "the first 8 tokens, then padding", "input_differs", np.where(np.arange(256) < 8, tokens, 0)


def cases():
    for model, (name, calib, _) in MODELS.items():
        if not (DATA / "models" / f"{model}.onnx").exists():
            print(f"{model}: not there, left out", file=sys.stderr)
            continue
        yield model, "as published", "", DATA / "datasets" / f"{calib}.toml"
        for what, right, array in token_cases() if model == "stories260K" else image_cases(model):
            yield model, what, right, {name: array}


def check(model, calib, folder):
    name, _, evaluation = MODELS[model]
    if isinstance(calib, dict):
        np.savez(folder / "calib.npz", **calib)
        calib = folder / "calib.npz"
    done = subprocess.run([BINARY, "data", "check", DATA / "models" / f"{model}.onnx", "--calib", calib, "--eval",
                           DATA / "datasets" / f"{evaluation}.toml", "--samples", str(SAMPLES), "--json", "--quiet"],
                          capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        sys.exit(f"{model}: {done.stderr.strip()}")
    got = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode == 0) == got["represents"]
    return got


def said(got):
    """The findings that fail, and what the check says it cannot tell with so few samples."""
    kinds = [finding["kind"] for finding in got["findings"] if finding["fails"]]
    kinds += ["channel_order: cannot tell" for finding in got["findings"] if finding["kind"] == "channel_order" and not finding["fails"]]
    return list(dict.fromkeys(kinds))


def is_right(got, right):
    """Named by one of the right findings; of the order of channels it is right, too, to say that the samples are too few."""
    kinds = {kind.split(":")[0] for kind in said(got)}
    return bool(kinds & set(right.split())) if right else got["represents"]


def row(model, what, right, got):
    failing = [finding for finding in got["findings"] if finding["fails"]]
    samples = got["calibration"]["looked_at"]
    first = failing[0]["sentence"] if failing else ""
    first = first if len(first) < 170 else first[:160].rsplit(" ", 1)[0] + " ..."
    kinds = ", ".join(said(got)) if failing or "channel_order" in right else ""
    return f"| {model} | {what} ({samples}) | {'' if is_right(got, right) else '**wrong** '}{kinds or 'represents'} | {first.replace('|', chr(92) + '|')} |"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--write", action="store_true")
    options.add_argument("--only", default="")
    options.add_argument("--keep", type=pathlib.Path, help="folder for the JSON of every case")
    asked = options.parse_args()
    lines = ["| model | calibration (samples) | findings that fail | the first of them |", "| --- | --- | --- | --- |"]
    wrong = 0
    for i, (model, what, right, calib) in enumerate(cases()):
        if asked.only not in f"{model} {what}":
            continue
        with tempfile.TemporaryDirectory() as folder:
            got = check(model, calib, pathlib.Path(folder))
        if asked.keep:
            asked.keep.mkdir(parents=True, exist_ok=True)
            (asked.keep / f"{i:02}-{model}.json").write_text(json.dumps({"case": what, **got}))
        lines.append(row(model, what, right, got))
        wrong += not is_right(got, right)
        print(lines[-1], file=sys.stderr, flush=True)
    print("\n".join(lines))
    if asked.write:
        marked_table.write(PAGE, "data_check_table.py", "\n".join(lines))
    sys.exit(f"{wrong} cases are not as they should be" if wrong else 0)


if __name__ == "__main__":
    main()
