"""The page COMING_FROM.md: every call in its right column runs, and gives what the left column gives where that is here."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unet_vol
from conftest import ROOT, oblique

PAGE = (ROOT / "python" / "COMING_FROM.md").read_text()
ROWS = re.findall(r"^\| (.*?) \| (.*`.*) \|$", PAGE, flags=re.MULTILINE)
CALLS = [call for _, here in ROWS for call in re.findall(r"`([^`]+)`", here)]


@pytest.fixture
def names(tmp_path: Path, head: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page's calls are made on, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    weights = ROOT / "src" / "model" / "weights"
    for suffix in ("onnx", "toml"):
        (tmp_path / f"net.{suffix}").write_bytes((weights / f"hippocampus.{suffix}").read_bytes())
    small = unet_vol.Image(unet_vol.read(head).array[40:80, 40:90, 40:80], np.diag([-1.0, 1.0, 1.0, 1.0]))
    cases = tmp_path / "cases"
    predictions, references = tmp_path / "predictions", tmp_path / "references"
    for folder in (cases, predictions, references):
        folder.mkdir()
    unet_vol.write(cases / "case_0000.nii.gz", small)
    labels = (rng.random(small.shape) < 0.3).astype(np.uint8)
    for folder in (predictions, references):
        unet_vol.write(folder / "x.nii.gz", unet_vol.Image(labels, small.affine, table=()))
    like = unet_vol.Image(np.zeros((20, 21, 22)), oblique())
    return {
        "unet_vol": unet_vol,
        "p": cases / "case_0000.nii.gz",
        "img": small,
        "other": like,
        "ref": like.to_sitk() if _has("SimpleITK") else like,
        "a": small.array,
        "affine": small.affine,
        "mask": labels,
        "labels": labels,
        "other_labels": np.roll(labels, 1, axis=0),
        "spacing": (1.0, 1.0, 2.0),
        "net": lambda x: np.concatenate([x, 1 - x], axis=1),
        "spec": {"schema": 1, "name": "x", "labels": [{"class": 1, "id": 1, "name": "a"}]},
        "folder": cases,
        "out": tmp_path / "out",
        "predictions": predictions,
        "references": references,
    }


def _has(module: str) -> bool:
    try:
        __import__(module)
    except ImportError:
        return False
    return True


def test_every_call_of_the_page_runs(names: dict[str, Any], tmp_path: Path) -> None:
    assert len(ROWS) > 35
    series = tmp_path / "series"
    series.mkdir()
    (series / "1.dcm").write_bytes((ROOT / "testdata" / "dicom" / "plain.dcm").read_bytes())
    keywords = inspect.signature(unet_vol.tiled).parameters
    for call in CALLS:
        if call == "examples/specs":
            assert (ROOT / call).is_dir()
        elif option := re.fullmatch(r"(\w+)=[^()]+", call):
            assert option[1] in keywords, call
        elif call.startswith("unet_vol.read_dicom("):
            exec(call, {**names, "folder": series})
        elif call.startswith("unet_vol.write("):
            exec(call, {**names, "p": tmp_path / "new.nii"})
        else:
            exec(call, names)


def values(image: Any) -> np.ndarray:
    """The voxels of anybody's image, `[i, j, k]`."""
    if isinstance(image, np.ndarray):
        return image
    return unet_vol._image.as_image(image).array


def test_both_columns_give_the_same(names: dict[str, Any]) -> None:
    nib = pytest.importorskip("nibabel")
    pytest.importorskip("nibabel.processing")
    sitk = pytest.importorskip("SimpleITK")
    mask = sitk.GetImageFromArray(names["mask"].transpose().copy())
    image, other = names["img"], names["other"]
    compared = 0
    for there, here in ROWS:
        there, here = there.strip("`"), here.strip("`")
        if re.match(r"nib\.(as_|processing\.resample_from)", there):
            theirs = eval(there, {"nib": nib, "img": image.to_nibabel(), "other": other.to_nibabel()})
        elif re.match(r"sitk\.(DICOMOrient|Resample\(img|ConnectedComponent|BinaryFillhole)", there):
            theirs = eval(there, {"sitk": sitk, "img": image.to_sitk(), "ref": other.to_sitk(), "mask": mask})
        else:
            continue
        np.testing.assert_allclose(values(eval(here, names)), values(theirs), rtol=1e-4, atol=2e-3, err_msg=here)
        compared += 1
    assert compared == 6
