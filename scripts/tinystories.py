"""stories260K of the data pack: its tokens, and the perplexity of a file in ONNX Runtime."""
import os
import pathlib

import numpy as np
import onnxruntime

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = pathlib.Path(os.environ.get("NARROW_DATA", ROOT.parent / "shared" / "data"))
MODEL = DATA / "models" / "stories260K.onnx"


def tokens(split):
    """[sequences, length], "calib" or "eval"."""
    arrays = np.load(DATA / "tinystories" / f"{split}_tokens.npz")
    return arrays[arrays.files[0]]


def perplexity(model):
    """Of an onnx.ModelProto on the evaluation tokens: exp of the mean negative log-likelihood of next tokens."""
    total, ids = 0.0, tokens("eval")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    run = onnxruntime.InferenceSession(model.SerializeToString(), options)
    for first in range(0, len(ids), 16):
        batch = ids[first:first + 16]
        logits = run.run(None, {"tokens": batch})[0][:, :-1].astype(np.float64)
        logits -= logits.max(-1, keepdims=True)
        loss = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, batch[:, 1:, None].astype(np.int64), -1)[..., 0]
        total += loss.mean(1).sum()
    return np.exp(total / len(ids))
