"""The program's labels of the synthetic head, read by nibabel and SimpleITK, and the same from every engine at hand."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import nibabel as nib
import numpy as np
import SimpleITK as sitk

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEAD = ROOT / "testdata/synthetic_head.nii.gz"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def segment(program: pathlib.Path, engine: str, folder: pathlib.Path) -> tuple[pathlib.Path, dict]:
    """Runs one engine; returns the label volume and the record of the run."""
    output = folder / f"{engine}.nii.gz"
    command = [program, "segment", HEAD, "-o", output, "--engine", engine, "--json", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return output, json.loads(done.stdout)


def check_geometry(path: pathlib.Path) -> None:
    """The label volume lies exactly where the head lies, for two readers."""
    source, labels = nib.load(HEAD), nib.load(path)
    assert labels.shape == source.shape
    assert labels.get_data_dtype() == np.uint8
    assert np.array_equal(labels.affine, source.affine)
    for field in ("sform_code", "qform_code", "xyzt_units", "srow_x", "srow_y", "srow_z", "quatern_b"):
        assert np.array_equal(labels.header[field], source.header[field]), field
    assert labels.header.get_intent()[0] == "label"
    source, labels = sitk.ReadImage(str(HEAD)), sitk.ReadImage(str(path))
    for read in ("GetSize", "GetOrigin", "GetSpacing", "GetDirection"):
        assert np.allclose(getattr(labels, read)(), getattr(source, read)(), atol=1e-5), read


def main() -> int:
    program = TARGET / "debug/unet-vol"
    if not program.exists():
        print("the program was not built: run `cargo build`")
        return 77
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CACHE_HOME"] = name
        folder = pathlib.Path(name)
        reference, _ = segment(program, "embedded", folder)
        check_geometry(reference)
        expected = np.asarray(nib.load(reference).dataobj)
        shares = []
        for engine in ("onnxruntime", "openvino"):
            path, record = segment(program, engine, folder)
            assert record["backend"]["engine"] == engine and record["backend"]["library_sha256"]
            shares.append(float((np.asarray(nib.load(path).dataobj) == expected).mean()))
            assert shares[-1] >= 0.999, (engine, shares)
    print(f"geometry exact; labels of ONNX Runtime and OpenVINO agree in {min(shares):.4%} of the voxels")
    return 0


if __name__ == "__main__":
    sys.exit(main())
