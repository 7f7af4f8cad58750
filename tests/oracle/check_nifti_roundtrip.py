#!/usr/bin/env python3
"""Ask nibabel and SimpleITK about the label maps that `cargo test` writes beside many sources.

    python tests/oracle/check_nifti_roundtrip.py            # runs the test that writes them, then checks
    python tests/oracle/check_nifti_roundtrip.py FOLDER     # checks a folder with its manifest.json

Exit code 0 when every file is right. Needs numpy, nibabel and SimpleITK.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

ROOT = Path(__file__).resolve().parents[2]
WRITER = "labels_written_beside_every_source"
FREE = {"sizeof_hdr", "magic", "dim", "intent_p1", "intent_p2", "intent_p3", "intent_code", "intent_name", "datatype",
        "bitpix", "vox_offset", "scl_slope", "scl_inter", "cal_min", "cal_max", "descrip", "aux_file"}  # fmt: skip


def ids(shape, modulus):
    """The formula of the test that wrote the files."""
    n = np.arange(int(np.prod(shape)), dtype=np.int64)
    return (n * 7919 % modulus).reshape(shape, order="F")


def load(path):
    """By content, as nibabel alone goes by the suffix and a copy with a true name does not hurt."""
    path = Path(path)
    packed = path.read_bytes()[:2] == b"\x1f\x8b"
    if packed != path.name.endswith(".gz") and path.suffix != ".hdr":
        copy = Path(tempfile.mkdtemp()) / ("copy.nii.gz" if packed else "copy.nii")
        shutil.copy(path, copy)
        path = copy
    return nib.load(path)


def best_affine(source):
    """nibabel's choice, but for an sform or a spacing that cannot be used."""
    header = source.header
    affine = source.affine
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) <= 1e-9 * np.prod(
        np.linalg.norm(affine[:3, :3], axis=0)
    ):
        affine = header.get_qform()
    return affine


def check_names(header):
    """As TotalSegmentator reads them (first extension) and as Connectome Workbench does (code 30)."""
    first, second = header.extensions[:2]
    table = xml.etree.ElementTree.fromstring(bytes(first.get_content())).find("VolumeInformation/LabelTable")
    assert {int(e.get("Key")): e.text for e in table} == {1: 'left <one> & "two"', 150: "Großhirn"}, "names"
    assert second.get_code() == 30 and second.content == bytes(first.get_content()), "names for Workbench"


def check_nibabel(entry, wanted):
    written = nib.load(entry["written"])
    header = written.header
    assert header.get_data_dtype().name == entry["dtype"], "data type"
    assert header.get_slope_inter() in ((1.0, 0.0), (None, None)), "scaling"
    assert int(header["intent_code"]) == 1002, "intent"
    assert bytes(header["descrip"].item()).startswith(b"unet-vol "), "description"
    assert np.array_equal(np.asanyarray(written.dataobj).reshape(wanted.shape, order="F"), wanted), "values"
    check_names(header)
    try:
        source = load(entry["source"])
    except Exception as error:  # nibabel refuses some headers that we read with a warning
        return f"nibabel does not read the source ({type(error).__name__})"
    scale = max(1.0, np.abs(written.affine).max())
    assert np.allclose(written.affine, best_affine(source), atol=1e-6 * scale, rtol=0), "affine"
    if not entry["repaired"]:
        for field in header.keys():
            if field in FREE:
                continue
            ours, theirs = header[field], source.header[field]
            if field == "pixdim":  # axes that the image does not count may have no spacing
                ours, theirs = ours[: 1 + len(written.shape)], theirs[: 1 + len(written.shape)]
            assert np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f"), field
        assert type(header) in (type(source.header), *type(source.header).__mro__, *nib.Nifti1Header.__subclasses__())
        kept = [(e.get_code(), bytes(e.get_content())) for e in header.extensions[2:]]
        assert kept == [(e.get_code(), bytes(e.get_content())) for e in source.header.extensions], "extensions"
    return None


def check_itk(entry, wanted):
    """SimpleITK's place of the labels against its place of the source; it reads no NIfTI-2 and no sheared sform."""
    with tempfile.TemporaryDirectory() as folder:
        # Alone in a folder: ITK may take the voxels of a neighbour that has the same stem.
        ours = Path(folder) / Path(entry["written"]).name
        shutil.copy(entry["written"], ours)
        try:
            written = sitk.ReadImage(str(ours))
        except RuntimeError:
            header = nib.load(entry["written"]).header
            sheared = not np.allclose(*(lambda m: (m.T @ m, np.diag(np.diag(m.T @ m))))(header.get_best_affine()[:3, :3]), atol=1e-3)
            assert isinstance(header, nib.Nifti2Header) or sheared, "SimpleITK does not read it"
            return "not SimpleITK's"
    values = sitk.GetArrayFromImage(written).T
    assert np.array_equal(values.reshape(wanted.shape, order="F"), wanted), "values in SimpleITK"
    try:
        source = sitk.ReadImage(entry["source"])
    except RuntimeError:
        return "SimpleITK does not read the source"
    dimension = written.GetDimension()
    if source.GetNumberOfComponentsPerPixel() > 1 or source.GetDimension() < dimension or entry["repaired"]:
        return "another reading of the source"
    tolerance = 1e-5 * max(1.0, *np.abs(written.GetOrigin()))
    assert np.allclose(written.GetSpacing(), source.GetSpacing()[:dimension], atol=1e-6), "spacing in SimpleITK"
    assert np.allclose(written.GetOrigin(), source.GetOrigin()[:dimension], atol=tolerance), "origin in SimpleITK"
    size = source.GetDimension()
    direction = np.reshape(source.GetDirection(), (size, size))[:dimension, :dimension].ravel()
    assert np.allclose(written.GetDirection(), direction, atol=1e-5), "direction in SimpleITK"
    return None


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "oracle/nifti"
    if len(sys.argv) == 1:
        subprocess.run(["cargo", "test", "--quiet", "--test", "it", WRITER], cwd=ROOT, check=True)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    failed, notes = 0, {}
    entries = json.loads((folder / "manifest.json").read_text())
    for entry in entries:
        name = Path(entry["source"]).name
        shape = nib.load(entry["written"]).shape
        wanted = ids(shape, entry["modulus"])
        for who, check in (("nibabel", check_nibabel), ("SimpleITK", check_itk)):
            try:
                note = check(entry, wanted)
                notes[note] = notes.get(note, 0) + 1
                print(f"OK {who} {name}{f': {note}' if note else ''}")
            except AssertionError as error:
                failed += 1
                print(f"FAILED {who} {name} ({entry['written']}): {error}")
    print(f"{len(entries)} label maps, {failed} failures; in full agreement: {notes.get(None, 0)} of {2 * len(entries)} checks; {notes}")
    return 1 if failed or not entries else 0


if __name__ == "__main__":
    sys.exit(main())
