"""Series with missing slices, uneven steps and oblique ones, segmented under `--on-gap resample`: SEG, RTSTRUCT, captures and
NIfTI judged by highdicom, pydicom, rt-utils, nibabel and dciodvfy.

Labels come from a network that rounds intensities, so those of every slice are known beforehand.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import nibabel as nib
import numpy as np

try:
    import highdicom
    import pydicom
    from check_rtstruct import check_contours, check_standard
    from check_seg import IDS, PROGRAM, make_model
    from dicom_series import write_series
    from rt_utils import RTStructBuilder
except ImportError as missing:
    print(f"{missing.name} is not installed")
    sys.exit(77)

SIDE = 24
#: mm along the normal, and the even grid: its step, and the k of each slice.
SERIES = {
    "missing": ([0, 4, 8, 16, 20, 32, 36], 4.0, [0, 1, 2, 4, 5, 8, 9]),
    "first missing of pairs": ([0, 5, 15, 25, 35], 5.0, [0, 1, 3, 5, 7]),
    "uneven": ([0, 4.4, 8.0, 12.9, 17.0, 20.6, 24.0], 4.0, [0, 1.1, 2, 3.225, 4.25, 5.15, 6]),
}


def directions() -> list[np.ndarray]:
    a, b = np.radians(17), np.radians(-28)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    tip = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return [np.diag([-1.0, -1.0, 1.0]), turn @ tip]


def volume(along: list[float]) -> np.ndarray:
    """Blobs of the classes 1 to 3 whose sizes change from slice to slice; i = column, j = row."""
    j, i = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    out = np.zeros((SIDE, SIDE, len(along)), np.uint16)
    for k, mm in enumerate(along):
        for label, (x, y) in enumerate([(6, 6), (17, 8), (11, 17)], start=1):
            out[(i - x) ** 2 + (j - y) ** 2 <= (2.2 + 0.09 * mm + 0.4 * label) ** 2 % 23, k] = label
    return out


def write(folder: pathlib.Path, voxels: np.ndarray, axes: np.ndarray, along: list[float]) -> list[pathlib.Path]:
    """A file a slice, at its mm along the normal, with the even step of the first two as its thickness."""
    affine = np.eye(4)
    affine[:3, :3] = axes * [0.75, 0.75, 4.0]
    affine[:3, 3] = [-20.5, 31.25, 7.0]
    files = write_series(folder, voxels, affine)
    lps = np.diag([-1.0, -1.0, 1.0]) @ affine[:3]
    for file, mm in zip(files, along, strict=True):
        data = pydicom.dcmread(file)
        data.ImagePositionPatient = [f"{v:.8f}" for v in lps[:, 3] + lps[:, 2] / 4.0 * mm]
        data.SliceThickness = "3.5"
        data.save_as(file)
    return files


def seg_planes(path: pathlib.Path, files: list[pathlib.Path]) -> np.ndarray:
    """The labels of each source instance, as highdicom finds them by its identifier; every frame refers to one."""
    seg = highdicom.seg.segread(path)
    images = [pydicom.dcmread(file, stop_before_pixels=True) for file in files]
    uids = [image.SOPInstanceUID for image in images]
    listed = seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert [item.ReferencedSOPInstanceUID for item in listed] == uids
    positions = {image.SOPInstanceUID: image.ImagePositionPatient for image in images}
    for frame in seg.PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        assert frame.PlanePositionSequence[0].ImagePositionPatient == positions[source]
    pixels = seg.get_pixels_by_source_instance(uids, combine_segments=True, assert_missing_frames_are_empty=True)
    numbers = {s.SegmentNumber: int(s.SegmentDescription.split()[-1]) for s in seg.SegmentSequence if s.SegmentNumber}
    ids = np.zeros(max(numbers) + 1, int)
    for number, label in numbers.items():
        ids[number] = label
    return ids[pixels].transpose(2, 1, 0)


def structure_planes(path: pathlib.Path, series: pathlib.Path) -> np.ndarray:
    """The labels of each slice as rt-utils fills the contours; its slices are in the order of their positions."""
    reader = RTStructBuilder.create_from(dicom_series_path=str(series), rt_struct_path=str(path))
    out = None
    for item in pydicom.dcmread(path).StructureSetROISequence:
        assert "ROIVolume" not in item, "what lies between the slices is not known"
        mask = reader.get_roi_mask_by_name(item.ROIName).transpose(1, 0, 2)
        out = np.zeros(mask.shape, int) if out is None else out
        out[mask] = item.ROINumber
    return out


def check_captures(folder: pathlib.Path, files: list[pathlib.Path], voxels: np.ndarray, labels: np.ndarray) -> None:
    """A picture for each slice that is there, with its own pixels and labels."""
    pictures = [pydicom.dcmread(file) for file in sorted(folder.iterdir())]
    assert len(pictures) == len(files) + 1
    for k, (picture, file) in enumerate(zip(pictures[1:], files, strict=True)):
        image = pydicom.dcmread(file)
        assert picture.ImagePositionPatient == image.ImagePositionPatient
        assert picture.SourceImageSequence[0].ReferencedSOPInstanceUID == image.SOPInstanceUID
        rgb = picture.pixel_array.astype(int)
        free = labels[:, :, k].T == 0
        grey = rgb[free]
        assert (grey.min(axis=1) == grey.max(axis=1)).all(), "color where there is no label"
        values = voxels[:, :, k].T[free]
        for value in np.unique(values):
            assert len(np.unique(grey[values == value])) == 1, "pixels of the slice itself"


def check(folder: pathlib.Path, name: str, axes: np.ndarray) -> str:
    along, step, places = SERIES[name]
    voxels = volume(along)
    series = folder / "series"
    files = write(series, voxels, axes, along)
    model = ["--model", folder.parent / "rounds.onnx", "--spec", folder.parent / "rounds.toml", "--engine", "embedded"]
    command = [PROGRAM, "segment", series, "-o", folder / "x.nii.gz", *model]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 4 and "--on-gap resample" in refused.stderr, refused
    more = ["--on-gap", "resample", "--format", "nifti,dicom-seg,rtstruct,secondary-capture"]
    done = subprocess.run([*command, *more], capture_output=True, text=True, check=True)
    assert "interpolated" in done.stderr, done.stderr
    whole = all(place == round(place) for place in places)
    labels, image = IDS[voxels], nib.load(folder / "x.nii.gz")
    planes = seg_planes(folder / "x.dcm", files)
    if whole:
        assert np.array_equal(planes, labels)
    else:
        # What the network sees at a slice is interpolated to the even grid and back: edges may differ where it is between.
        assert np.array_equal(planes[:, :, [0, 2, 6]], labels[:, :, [0, 2, 6]])
        assert (planes == labels).mean() > 0.93, (planes == labels).mean()
    assert np.array_equal(structure_planes(folder / "x_rtstruct.dcm", series), planes)
    check_contours(folder / "x_rtstruct.dcm", files)
    check_captures(folder / "x_capture", files, voxels, planes)

    # The label volume is on the grid of the image that `convert` writes, and agrees with SEG where a slice is.
    subprocess.run([PROGRAM, "convert", series, "-o", folder / "image.nii.gz", "--on-gap", "resample", "-q"], check=True, stdout=subprocess.DEVNULL)
    even = nib.load(folder / "image.nii.gz")
    assert image.shape == even.shape and np.allclose(image.affine, even.affine, atol=1e-5)
    assert abs(np.linalg.norm(even.affine[:3, 2]) - step) < 1e-4, even.affine
    ids = np.asarray(image.dataobj)
    for n, place in enumerate(places):
        if place == round(place):
            assert np.array_equal(ids[:, :, round(place)], planes[:, :, n])

    # highdicom makes a volume of the slices of a grid; uneven ones make none.
    seg = highdicom.seg.segread(folder / "x.dcm")
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    if whole:
        assert abs(float(measures.SpacingBetweenSlices) - step) < 1e-4
        read = seg.get_volume(combine_segments=True, allow_missing_positions=True)
        assert read.array.sum() > 0
    else:
        assert "SpacingBetweenSlices" not in measures and float(measures.SliceThickness) == 3.5
    return check_standard([folder / "x.dcm", folder / "x_rtstruct.dcm", *sorted((folder / "x_capture").iterdir())[:2]])


def main() -> int:
    if not PROGRAM.exists():
        print("the program was not built: run `cargo build`")
        return 77
    checked, verdict = 0, ""
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CACHE_HOME"] = name
        base = pathlib.Path(name)
        make_model(base)
        for series in SERIES:
            for axes in directions():
                folder = base / f"case{checked}"
                folder.mkdir()
                verdict = check(folder, series, axes)
                shutil.rmtree(folder)
                checked += 1
    print(f"{checked} series with gaps: objects have the labels of the slices that are there; {verdict}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
