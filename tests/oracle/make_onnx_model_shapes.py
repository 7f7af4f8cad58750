"""Writes testdata/onnx/models.json: output shapes of the developers' models in ONNX Runtime for several input sizes."""

import json
import os
from pathlib import Path

import numpy as np
import onnxruntime

from onnx_cases import ROOT

SHARED = Path(os.environ.get("UNET_VOL_SHARED", ROOT.parents[2] / "shared"))
SIZES = {
    "deepbrain": [(8, 8, 8), (16, 24, 40), (10, 16, 16)],
    "meshnet": [(5, 6, 7), (16, 1, 9)],
    "mindgrab": [(8, 9, 10)],
    "niivue": [(256, 256, 256)],
    "brain_v0": [(16, 16, 16), (32, 48, 16), (96, 112, 96), (24, 16, 16)],
}


def main():
    paths = sorted((SHARED / "data/models").glob("*.onnx")) + [SHARED / "models/brain_v0.onnx"]
    lines = []
    for path in paths:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for size in next(sizes for name, sizes in SIZES.items() if path.stem.startswith(name)):
            shape = [1, 1, *size]
            try:
                output = list(session.run(None, {session.get_inputs()[0].name: np.zeros(shape, np.float32)})[0].shape)
            except Exception as error:
                if "Status Message" not in str(error):
                    raise
                output = None
            lines.append(json.dumps({"model": str(path.relative_to(SHARED)), "input": shape, "output": output}, separators=(",", ":")))
    (ROOT / "models.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
