"""Writes testdata/onnx/reach.json: which input planes change which output planes, found by changing one plane at a time.

ONNX Runtime is the judge: plane x of the input is replaced by large random values, and the output planes that differ are
noted. `low` and `high` are the first and last input plane that changes an output plane (null where none does).
"""

import json
import os
from pathlib import Path

import numpy as np
import onnxruntime

from onnx_cases import ROOT

SHARED = Path(os.environ.get("UNET_VOL_SHARED", ROOT.parents[2] / "shared"))
CASES = [
    ("networks/unet2015_torchscript", (1, 1, 316, 188)),
    ("networks/unet2015_3d", (1, 1, 56, 18, 18)),
    ("networks/nnunet2d_batchnorm", (1, 1, 80, 16)),
    ("networks/resize_nearest_torchscript12", (1, 1, 32, 16)),
    ("networks/resize_bilinear_dynamo18", (1, 1, 32, 16)),
    ("networks/resize_bilinear_dynamo18", (1, 1, 33, 16)),
    ("networks/resize_pad_torchscript", (1, 1, 33, 16)),
    ("operators/convtranspose2d_k3s2_torch", (1, 4, 9, 9)),
    ("operators/convtranspose2d_k3s2_tf", (1, 4, 9, 9)),
    ("operators/convtranspose2d_k4s2", (1, 3, 9, 9)),
    ("operators/convtranspose2d_k5s3_dilated", (1, 2, 9, 9)),
    ("operators/maxpool2d_k3s2p1", (1, 18, 15, 15)),
    ("operators/maxpool2d_ceil", (1, 3, 15, 15)),
    ("operators/averagepool2d_exclude", (1, 3, 15, 15)),
    ("operators/conv2d_k7_s2", (1, 3, 21, 21)),
    ("operators/conv2d_same_lower", (1, 2, 16, 16)),
    ("operators/conv2d_k3_dilated", (1, 3, 16, 16)),
    ("operators/pad_reflect", (1, 3, 9, 9)),
    ("operators/pad_edge", (1, 3, 9, 9, 9)),
    ("operators/pad_wrap", (1, 3, 9, 9)),
    ("operators/slice_steps", (1, 3, 9, 9)),
    ("operators/slice_flip", (1, 3, 9, 9)),
    ("operators/resize2d_linear_down", (1, 3, 15, 15)),
    ("operators/resize2d_linear_symmetric", (1, 3, 15, 15)),
    ("operators/resize2d_linear_align_corners", (1, 3, 9, 9)),
    ("operators/resize2d_cubic", (1, 3, 9, 9)),
    ("operators/resize2d_nearest_half_pixel_round_prefer_floor", (1, 2, 11, 5)),
    ("operators/resize2d_nearest_align_corners_round_prefer_ceil", (1, 2, 11, 5)),
    ("operators/resize2d_nearest_asymmetric_ceil", (1, 2, 11, 5)),
    ("operators/depthtospace", (1, 8, 5, 5)),
    ("operators/concat_rows", (1, 3, 6, 5)),
    ("shared:data/models/meshnet_gw3_light", (1, 1, 110, 3, 3)),
    ("shared:models/brain_v0", (1, 1, 240, 16, 16)),
]


def reach(session, shape, axis=2):
    rng = np.random.default_rng(len(shape) * 1000 + shape[axis])
    inputs = session.get_inputs()
    rest = {i.name: rng.standard_normal(shape).astype(np.float32) for i in inputs[1:]}
    run = lambda x: session.run(None, {inputs[0].name: x, **rest})[0]
    spans = None
    for _ in range(3):
        base = rng.standard_normal(shape).astype(np.float32)
        before = run(base)
        spans = spans or [None] * before.shape[axis]
        for plane in range(shape[axis]):
            x = base.copy()
            x[:, :, plane] = 10 * rng.standard_normal(x[:, :, plane].shape)
            changed = (run(x) != before).any(axis=tuple(a for a in range(before.ndim) if a != axis))
            for p in np.flatnonzero(changed):
                low, high = spans[p] or (plane, plane)
                spans[p] = (min(low, plane), max(high, plane))
    return spans


def main():
    lines = []
    for name, shape in CASES:
        path = SHARED / name.removeprefix("shared:") if name.startswith("shared:") else ROOT / name
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(f"{path}.onnx", options, providers=["CPUExecutionProvider"])
        spans = reach(session, shape)
        shapes = [list(shape)] * len(session.get_inputs())
        lines.append(json.dumps({"model": name, "inputs": shapes, "spans": spans}, separators=(",", ":")))
    (ROOT / "reach.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
