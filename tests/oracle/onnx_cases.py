"""Runs ONNX models in ONNX Runtime and stores what went in and what came out.

A folder of cases holds `<name>.onnx`, `<name>.bin` and `cases.json`, a list of
`{"name", "runs": [{"inputs": [shape...], "outputs": [shape...], "values": bool}]}`. The `.bin` file holds, for each run with
values in order, all inputs and then all outputs as row-major little-endian float32.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime

ROOT = Path(__file__).resolve().parents[2] / "testdata" / "onnx"


class Cases:
    """Collects the cases of one folder; everything random comes from the name of the case."""

    def __init__(self, folder):
        self.folder = ROOT / folder
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in self.folder.glob("*"):
            old.unlink()
        self.cases = []

    def add(self, name, model, *runs, shapes_only=(), low=None, high=None, nan=False):
        """Runs `model` on random inputs of each of `runs` (lists of shapes, or one shape where there is one input); with
        `nan` on one in which two values are not a number."""
        path = self.folder / f"{name}.onnx"
        path.write_bytes(model.SerializeToString())
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        rng = np.random.default_rng(list(name.encode()))
        blob, listed = [], []
        for shapes, values in [(r, True) for r in runs] + [(r, False) for r in shapes_only]:
            shapes = [shapes] if isinstance(shapes, tuple) else shapes
            draw = rng.standard_normal if low is None else lambda s: rng.uniform(low, high, s)
            inputs = [draw(s).astype(np.float32) for s in shapes]
            if nan:
                inputs[0].flat[[inputs[0].size // 3, -4]] = np.nan
            feeds = {i.name: x.astype(np.float16) if "float16" in i.type else x for i, x in zip(session.get_inputs(), inputs)}
            outputs = session.run(None, feeds)
            listed.append({"inputs": [list(x.shape) for x in inputs], "outputs": [list(y.shape) for y in outputs], "values": values})
            if values:
                blob += [*inputs, *outputs]
        if blob:
            data = b"".join(np.ascontiguousarray(x, dtype="<f4").tobytes() for x in blob)
            (self.folder / f"{name}.bin").write_bytes(data)
        self.cases.append({"name": name, "runs": listed})

    def save(self):
        """Writes `cases.json` and says how much there is."""
        lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in self.cases)
        (self.folder / "cases.json").write_text(f"[\n{lines}\n]\n")
        size = sum(f.stat().st_size for f in self.folder.iterdir())
        print(f"{len(self.cases)} cases, {size / 1000:.0f} kB in {self.folder}")
