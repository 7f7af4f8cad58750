"""RTSTRUCT and secondary captures of the synthetic head, judged by rt-utils, pydicom and dciodvfy; and RTSTRUCT of rt-utils
read back."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import nibabel as nib
import numpy as np

try:
    import pydicom
    from dicom_series import write_series
    from rt_utils import RTStructBuilder
except ImportError as missing:
    print(f"{missing.name} is not installed")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PROGRAM = TARGET / "debug/unet-vol"


def run(*arguments) -> None:
    subprocess.run([PROGRAM, *map(str, arguments), "-q"], check=True)


def square(image: nib.Nifti1Image) -> tuple[np.ndarray, np.ndarray]:
    """Voxels padded to as many rows as columns (rt-utils mixes the two up), right-handed in LPS, and their affine."""
    voxels, affine = np.asarray(image.dataobj), image.affine.copy()
    side = max(voxels.shape[:2])
    voxels = np.pad(voxels, [(0, side - n) for n in voxels.shape[:2]] + [(0, 0)])
    if np.linalg.det(affine) < 0:
        voxels = voxels[:, :, ::-1]
        affine[:3, 3] += (voxels.shape[2] - 1) * affine[:3, 2]
        affine[:3, 2] *= -1
    return voxels, affine


def check_masks(structures: pathlib.Path, series: pathlib.Path, labels: np.ndarray) -> tuple[int, float]:
    """Each structure as rt-utils fills it against the labels; the number of structures and the lowest Dice."""
    data = pydicom.dcmread(structures)
    reader = RTStructBuilder.create_from(dicom_series_path=str(series), rt_struct_path=str(structures))
    dice = []
    for item in data.StructureSetROISequence:
        mask = reader.get_roi_mask_by_name(item.ROIName).transpose(1, 0, 2)
        wanted = labels == item.ROINumber
        assert abs(float(item.ROIVolume) - wanted.sum() * VOXEL_ML) < 1e-3 * wanted.sum() * VOXEL_ML
        dice.append(2 * (mask & wanted).sum() / (mask.sum() + wanted.sum()))
    assert sorted(np.unique(labels))[1:] == [item.ROINumber for item in data.StructureSetROISequence]
    return len(dice), float(min(dice))


def check_contours(structures: pathlib.Path, files: list[pathlib.Path]) -> int:
    """Each contour lies in the plane of the image that it refers to; no point twice; short texts. Returns their number."""
    images = {}
    for file in files:
        image = pydicom.dcmread(file, stop_before_pixels=True)
        row, column = np.array(image.ImageOrientationPatient, float).reshape(2, 3)
        images[image.SOPInstanceUID] = (np.array(image.ImagePositionPatient, float), np.cross(row, column))
    data = pydicom.dcmread(structures)
    frame = data.ReferencedFrameOfReferenceSequence[0]
    listed = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0].ContourImageSequence
    assert [item.ReferencedSOPInstanceUID for item in listed] == list(images)
    count = 0
    for roi in data.ROIContourSequence:
        for contour in roi.ContourSequence:
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            assert len(points) == contour.NumberOfContourPoints >= 4
            assert len(np.unique(points, axis=0)) == len(points), "a point occurs twice"
            assert all(len(str(value)) <= 16 for value in contour.ContourData)
            position, normal = images[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
            assert np.abs((points - position) @ normal).max() < 1e-3, "a contour leaves its plane"
            count += 1
    return count


def colored(structures: pathlib.Path) -> list[int]:
    """Labels whose color is none of gray."""
    rois = pydicom.dcmread(structures).ROIContourSequence
    return [roi.ReferencedROINumber for roi in rois if len(set(roi.ROIDisplayColor)) > 1]


def check_captures(
    folder: pathlib.Path, files: list[pathlib.Path], labels: np.ndarray, in_color: list[int]
) -> None:
    """A legend, then a picture per image at its place, in color where there are labels."""
    pictures = [pydicom.dcmread(file) for file in sorted(folder.iterdir())]
    assert [picture.InstanceNumber for picture in pictures] == list(range(1, len(files) + 2))
    assert len({picture.SOPInstanceUID for picture in pictures}) == len(pictures)
    assert len({picture.SeriesInstanceUID for picture in pictures}) == 1
    for k, (picture, file) in enumerate(zip(pictures[1:], files, strict=True)):
        image = pydicom.dcmread(file)
        for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "FrameOfReferenceUID"):
            assert getattr(picture, name) == getattr(image, name), name
        assert picture.SourceImageSequence[0].ReferencedSOPInstanceUID == image.SOPInstanceUID
        rgb = picture.pixel_array.astype(int)[:-16]  # the notice is below
        is_colored = rgb.max(axis=2) > rgb.min(axis=2)
        ids = labels[:, : len(rgb), k].T
        assert not is_colored[ids == 0].any(), "color where there is no label"
        assert is_colored[np.isin(ids, in_color)].all(), "a label without color"


def check_standard(files: list[pathlib.Path]) -> str:
    """dciodvfy finds no error."""
    if not shutil.which("dciodvfy"):
        return "dciodvfy is not installed"
    for file in files:
        done = subprocess.run(["dciodvfy", file], capture_output=True, text=True, check=False)
        errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
        assert not errors, (file.name, errors)
    return "dciodvfy finds no error"


def check_foreign(series: pathlib.Path, labels: np.ndarray, folder: pathlib.Path) -> None:
    """Structures that rt-utils wrote are read as the masks that it was given."""
    builder = RTStructBuilder.create_new(dicom_series_path=str(series))
    chosen = list(np.unique(labels)[1:6])
    for label in chosen:
        builder.add_roi(mask=(labels == label).transpose(1, 0, 2), name=f"s{label}", approximate_contours=False)
    builder.save(str(folder / "foreign.dcm"))
    run("convert", folder / "foreign.dcm", "--images", series, "-o", folder / "foreign.nii.gz")
    read = np.asarray(nib.load(folder / "foreign.nii.gz").dataobj)
    for number, label in enumerate(chosen, start=1):
        assert np.array_equal(read == number, labels == label), f"structure {label}"


def main() -> int:
    global VOXEL_ML
    if not PROGRAM.exists():
        print("the program was not built: run `cargo build`")
        return 77
    voxels, affine = square(nib.load(ROOT / "testdata/synthetic_head.nii.gz"))
    VOXEL_ML = abs(np.linalg.det(affine[:3, :3])) / 1000
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CACHE_HOME"] = name
        folder = pathlib.Path(name)
        files = write_series(folder / "series", voxels, affine)
        output = folder / "head.nii.gz"
        run("segment", folder / "series", "-o", output, "--format", "nifti,rtstruct,secondary-capture")
        image = nib.load(output)
        assert np.allclose(image.affine, affine, atol=1e-4)
        labels = np.asarray(image.dataobj)
        structures, captures = folder / "head_rtstruct.dcm", folder / "head_capture"
        count, dice = check_masks(structures, folder / "series", labels)
        contours = check_contours(structures, files)
        check_captures(captures, files, labels, colored(structures))
        verdict = check_standard([structures, *sorted(captures.iterdir())[:3]])
        run("convert", structures, "--images", folder / "series", "-o", folder / "back.nii.gz")
        back = nib.load(folder / "back.nii.gz")
        assert np.array_equal(np.asarray(back.dataobj), labels) and np.allclose(back.affine, image.affine, atol=1e-5)
        check_foreign(folder / "series", labels, folder)
    assert count >= 30 and dice >= 0.98, (count, dice)
    print(f"{count} structures in {contours} contours: Dice of rt-utils at least {dice:.5f}, read back equal; {verdict}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
