"""Models with the inputs their peers calibrate and answer on; few, so that all peer tests take minutes."""
import dataclasses
import functools
import pathlib

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
DIGITS = ROOT / "examples" / "digits"


def photos(folder, count, normalise):
    """The first photos of a folder in the order of their names, [n,3,h,w] RGB."""
    from PIL import Image
    files = sorted(folder.glob("*.jpg"))[:count]
    pixels = np.stack([np.asarray(Image.open(f).convert("RGB"), np.float32) for f in files])
    return normalise(pixels.transpose(0, 3, 1, 2)).astype(np.float32)


def imagenet(pixels):
    mean, std = (np.reshape(v, (1, 3, 1, 1)) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    return (pixels / 255 - mean) / std


@dataclasses.dataclass(frozen=True)
class Task:
    name: str
    input: str
    toml: str           # the description of the calibration data, for narrow
    batches: object     # (pack, split, count) -> array of inputs, first axis the sample
    calib: int          # samples the peers calibrate on
    eval: int           # samples they are compared on
    at_once: int = 50   # samples of one run
    axis: int = 1       # of the output: where the classes are
    bundled: bool = False
    pack: object = None

    def in_pack(self, folder):
        return dataclasses.replace(self, pack=folder)

    @property
    def model(self):
        return DIGITS / f"{self.name}.onnx" if self.bundled else self.pack / "models" / f"{self.name}.onnx"

    @property
    def calib_toml(self):
        return (DIGITS if self.bundled else self.pack / "datasets") / self.toml

    @functools.lru_cache(maxsize=4)  # one or two tasks at a time
    def feeds(self, split):
        count = self.calib if split == "calib" else self.eval
        x = self.batches(self.pack, split, count)
        return [{self.input: x[i:i + self.at_once]} for i in range(0, len(x), self.at_once)]


def digits(_, split, count):
    with np.load(DIGITS / f"{split}.npz") as arrays:
        return arrays["input"][:count].astype(np.float32) / 16


def cifar(pack, split, count):
    with np.load(pack / "cifar10" / f"{split}.npz") as arrays:
        return imagenet(arrays["input"][:count].astype(np.float32)).astype(np.float32)


def tokens(pack, split, count):
    with np.load(pack / "tinystories" / f"{split}_tokens.npz") as arrays:
        return arrays["tokens"][:count]


TASKS = {task.name: task for task in (
    Task("digits", "input", "calib.toml", digits, 100, 400, bundled=True),
    Task("mobilenet_v1_0.75", "input", "imagenet-calib.mobilenet.toml",
         lambda pack, split, n: photos(pack / "imagenet" / split, n, lambda p: p / 127.5 - 1), 20, 350),
    Task("squeezenet1.1", "data", "imagenet-calib.torch.toml",
         lambda pack, split, n: photos(pack / "imagenet" / split, n, imagenet), 20, 350),
    Task("resnet20_cifar10", "input", "cifar10-calib.toml", cifar, 200, 1000),
    Task("face_rfb320", "input", "photos-calib.face.toml",
         lambda pack, split, n: photos(pack / "photos" / f"{split}_320x240", n, lambda p: (p - 127) / 128), 10, 12, at_once=1, axis=2),
    Task("fastestdet", "input.1", "photos-calib.fastestdet.toml",
         lambda pack, split, n: photos(pack / "photos" / f"{split}_352x352", n, lambda p: p[:, ::-1] / 255), 10, 12, at_once=1),
    Task("stories260K", "tokens", "tinystories-calib.toml", tokens, 8, 16, at_once=8, axis=2),
)}
CLASSIFIERS = ["digits", "mobilenet_v1_0.75", "squeezenet1.1", "resnet20_cifar10"]
