"""Reading and writing against nibabel and SimpleITK."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

import unet_vol
from conftest import oblique, shared

nibabel = pytest.importorskip("nibabel")
sitk = pytest.importorskip("SimpleITK")


def test_a_file_reads_as_nibabel_reads_it(head: Path) -> None:
    image = unet_vol.read(head)
    theirs = nibabel.load(head)
    np.testing.assert_array_equal(image.array, theirs.get_fdata(dtype=np.float32))
    np.testing.assert_allclose(image.affine, theirs.affine, atol=1e-5)
    assert image.array.flags.f_contiguous and image.array.dtype == np.float32
    assert image.shape == theirs.shape
    assert image.orientation == "".join(nibabel.aff2axcodes(theirs.affine))
    np.testing.assert_allclose(image.spacing, theirs.header.get_zooms(), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_what_is_written_reads_the_same_everywhere(
    tmp_path: Path, rng: np.random.Generator, dtype: str, suffix: str
) -> None:
    array = rng.integers(0, 200, (5, 6, 7)).astype(dtype)
    path = tmp_path / f"a{suffix}"
    unet_vol.write(path, (array, oblique()), dtype=dtype)
    theirs = nibabel.load(path)
    assert theirs.get_data_dtype() == np.dtype(dtype)
    np.testing.assert_array_equal(np.asarray(theirs.dataobj), array)
    np.testing.assert_allclose(theirs.affine, oblique(), atol=1e-5)
    itk = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(itk).transpose(), array)
    ours = unet_vol.read(path)
    np.testing.assert_array_equal(ours.array, array.astype(np.float32))


def test_images_of_nibabel_and_sitk_come_and_go(rng: np.random.Generator) -> None:
    array = rng.normal(size=(4, 5, 6)).astype(np.float32)
    ours = unet_vol.Image(array, oblique())
    for theirs in (ours.to_nibabel(), ours.to_sitk()):
        back = unet_vol.reorient(theirs, ours.orientation)
        np.testing.assert_array_equal(back.array, array)
        np.testing.assert_allclose(back.affine, oblique(), atol=1e-6)
    point = (1, 2, 3)
    lps = np.array(ours.to_sitk().TransformIndexToPhysicalPoint(point))
    np.testing.assert_allclose(lps * [-1, -1, 1], (oblique() @ [*point, 1])[:3], atol=1e-9)
    sheared = oblique()
    sheared[0, 2] += 0.5
    with pytest.raises(unet_vol.UsageError, match="sheared"):
        unet_vol.Image(array, sheared).to_sitk()


def test_a_header_goes_along(tmp_path: Path, rng: np.random.Generator) -> None:
    theirs = nibabel.Nifti1Image(rng.normal(size=(4, 5, 6)).astype(np.float32), oblique())
    theirs.header.set_xyzt_units("mm", "sec")
    theirs.set_sform(oblique(), 4)
    theirs.set_qform(oblique(), 1)
    for image in (unet_vol.Image(*unet_vol.reorient(theirs, "RAS")), unet_vol.resample(theirs, shape=(4, 5, 6))):
        unet_vol.write(tmp_path / "out.nii", image, like=theirs, overwrite=True)
    written = nibabel.load(tmp_path / "out.nii")
    assert (int(written.header["sform_code"]), int(written.header["qform_code"])) == (4, 1)
    again = unet_vol.read(tmp_path / "out.nii").to_nibabel()
    assert int(again.header["sform_code"]) == 4


def test_labels_keep_their_names(tmp_path: Path) -> None:
    labels = np.zeros((4, 4, 4), np.int64)
    labels[1:3, 1:3, 1:3] = 700
    table = [unet_vol.Label(700, "Kidney", (1, 2, 3))]
    unet_vol.write(tmp_path / "l.nii.gz", unet_vol.Image(labels, np.eye(4), table=table))
    back = unet_vol.read_labels(tmp_path / "l.nii.gz")
    np.testing.assert_array_equal(back.array, labels)
    assert back.table is not None and back.table[0].name == "Kidney"
    with pytest.raises(unet_vol.UnsupportedError):
        unet_vol.Image(labels - 1, np.eye(4), table=[])
    with pytest.raises(unet_vol.UnsupportedError):
        unet_vol.Image(labels + 0.5, np.eye(4), table=[])


def test_images_pickle(head: Path) -> None:
    image = unet_vol.read(head)
    back = pickle.loads(pickle.dumps(image))
    np.testing.assert_array_equal(back.array, image.array)
    assert back.path == image.path
    assert back.to_nibabel().header["sform_code"] == image.to_nibabel().header["sform_code"]


def test_errors_have_their_kinds(tmp_path: Path, head: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        unet_vol.read(tmp_path / "no.nii")
    assert isinstance(missing.value, unet_vol.MalformedError) and "no.nii" in str(missing.value)
    assert missing.value.exit_code == 3
    (tmp_path / "bad.nii").write_bytes(b"x" * 400)
    with pytest.raises(ValueError):
        unet_vol.read(tmp_path / "bad.nii")
    unet_vol.write(tmp_path / "a.nii", head)
    with pytest.raises(FileExistsError) as exists:
        unet_vol.write(tmp_path / "a.nii", head)
    assert exists.value.hint is not None and exists.value.hint in exists.value.__notes__[0]
    with pytest.raises(OSError):
        unet_vol.write(tmp_path / "none" / "a.nii", head)
    back = pickle.loads(pickle.dumps(exists.value))
    assert type(back) is unet_vol.ExistsError and str(back) == str(exists.value)
    with pytest.raises(unet_vol.UsageError):
        unet_vol.write(tmp_path / "a.png", head)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nii", "bad.nii"]


def test_convert_and_evaluate_work_on_files(tmp_path: Path, head: Path) -> None:
    done = unet_vol.convert(head, tmp_path / "c.nii.gz", orientation="LPS", spacing=(2, 2, 2))
    assert done.largest_error_mm < 1e-3
    image = unet_vol.read(tmp_path / "c.nii.gz")
    assert image.orientation == "LPS"
    np.testing.assert_allclose(image.spacing, 2.0, rtol=1e-2)  # the edges stay, whole voxels fit


def test_a_dicom_folder_is_triaged_and_read() -> None:
    folders = sorted(p for p in (shared() / "dicom").glob("*") if p.is_dir())
    if not folders:
        pytest.skip("there is no DICOM data")
    read = 0
    for folder in folders[:8]:
        found = unet_vol.triage(folder)
        assert "<table>" in found._repr_html_() and len(found.to_dicts()) == len(found.series)
        for row in found.series:
            if row.refusal is None and row.volumes == 1:
                image = unet_vol.read_dicom(folder, row.number)
                assert image.shape == row.shape and image.triage is not None
                read += 1
                break
    assert read > 0
