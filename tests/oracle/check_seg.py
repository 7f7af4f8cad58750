"""DICOM segmentations read by highdicom: the labels of every voxel of series in all axis orders, and dciodvfy's word.

The series are written by pydicom; a network that rounds intensities makes labels that are known beforehand.
"""

import itertools
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import highdicom
import numpy as np
import onnx
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PROGRAM = TARGET / "debug/unet-vol"
COLUMNS, ROWS, SLICES = 5, 7, 6
IDS = np.array([0, 3, 300, 17])
SPEC = """
schema = 1
name = "rounds"
version = "1"
labels = [
  { class = 1, id = 3, name = "left thing", code = { scheme = "SCT", value = "42695009", meaning = "Thalamus" } },
  { class = 2, id = 300, name = "Größe", rgb = [205, 62, 78] },
  { class = 3, id = 17, name = "third" },
]
"""


def make_model(folder: pathlib.Path, axes: int = 3) -> None:
    """Class c wins where the intensity is nearest to c: the scores are c x - c^2 / 2."""
    c = np.arange(4, dtype=np.float32)
    weights = onnx.numpy_helper.from_array(c.reshape(4, 1, *[1] * axes), "w")
    bias = onnx.numpy_helper.from_array(-c * c / 2, "b")
    node = onnx.helper.make_node("Conv", ["x", "w", "b"], ["y"], kernel_shape=[1] * axes)
    value = onnx.helper.make_tensor_value_info
    shape = ["k", "j", "i"][-axes:]
    graph = onnx.helper.make_graph(
        [node],
        "rounds",
        [value("x", onnx.TensorProto.FLOAT, [1, 1, *shape])],
        [value("y", onnx.TensorProto.FLOAT, [1, 4, *shape])],
        [weights, bias],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "rounds.onnx")
    planes = '\n[tiling]\nmethod = "slices"\n[tiling.plane]\nmethod = "whole"\n'
    (folder / "rounds.toml").write_text(SPEC + (planes if axes == 2 else ""))


def write_series(folder: pathlib.Path, axes: np.ndarray, descending: bool) -> list[Dataset]:
    """Slices stacked along column 2 of `axes`; columns of pixels run along column 0, rows along column 1."""
    folder.mkdir()
    values = np.random.default_rng(7).integers(0, 4, (SLICES, ROWS, COLUMNS)).astype(np.uint16)
    values[0] = 0  # a slice without labels
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    out = []
    for k in range(SLICES):
        d = Dataset()
        d.file_meta = FileMetaDataset()
        d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        d.SpecificCharacterSet = "ISO_IR 100"
        d.SOPClassUID = d.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = study, series, frame
        d.PatientName, d.PatientID, d.PatientBirthDate, d.PatientSex = "Müller^Jörg", "7", "19700101", "O"
        d.StudyDate, d.StudyTime, d.StudyID, d.AccessionNumber = "20200101", "101500", "1", "A1"
        d.ReferringPhysicianName, d.PositionReferenceIndicator, d.Manufacturer = "", "", "test"
        d.Modality, d.SeriesNumber, d.ImageType = "MR", 3, ["ORIGINAL", "PRIMARY", "M"]
        d.InstanceNumber = SLICES - k if descending else k + 1
        d.ImageOrientationPatient = [f"{v:.10f}" for v in (*axes[:, 0], *axes[:, 1])]
        d.ImagePositionPatient = [f"{v:.8f}" for v in np.array([-20.5, 31.25, 7.0]) + 2.5 * k * axes[:, 2]]
        d.PixelSpacing, d.SliceThickness = ["1.25", "0.75"], "2"
        d.Rows, d.Columns, d.SamplesPerPixel, d.PhotometricInterpretation = ROWS, COLUMNS, 1, "MONOCHROME2"
        d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 12, 11, 0
        d.PixelData = values[k].tobytes()
        d.save_as(folder / f"{(k * 5) % SLICES}.dcm", enforce_file_format=True)
        out.append(d)
    return out


def segment(folder: pathlib.Path, series: pathlib.Path, kind: str, *extra: str) -> pathlib.Path:
    output = folder / "seg.dcm"
    command = [PROGRAM, "segment", series, "-o", output, "--format", "dicom-seg", "--seg-type", kind, "--overwrite"]
    model = ["--model", folder / "rounds.onnx", "--spec", folder / "rounds.toml", "--engine", "embedded", "-q"]
    subprocess.run([*command, *model, *extra], check=True, capture_output=True)
    return output


def check_labels(path: pathlib.Path, slices: list[Dataset], kind: str, keeps: bool) -> None:
    """Every pixel of the series has its label in the volume that highdicom makes of the segmentation."""
    seg = highdicom.seg.segread(path)
    volume = seg.get_volume(combine_segments=True, allow_missing_positions=True)
    names = {s.SegmentNumber: s.SegmentLabel for s in seg.SegmentSequence}
    wanted = {0: "Background", 3: "left thing", 300: "Gr??e", 17: "third"}
    seen = set()
    to_index = np.linalg.inv(volume.affine)
    for d in slices:
        pixels = IDS[d.pixel_array]
        x, y = np.array(d.ImageOrientationPatient[:3]), np.array(d.ImageOrientationPatient[3:])
        (dr, dc), origin = d.PixelSpacing, np.array(d.ImagePositionPatient)
        for r, c in itertools.product(range(ROWS), range(COLUMNS)):
            place = to_index @ np.append(origin + x * dc * c + y * dr * r, 1)
            index = np.round(place[:3]).astype(int)
            assert np.abs(place[:3] - index).max() < 1e-3, place
            inside = (index >= 0).all() and (index < volume.spatial_shape).all()
            assert inside or not (keeps or pixels[r, c]), (index, pixels[r, c])
            label = int(volume.array[tuple(index)]) if inside else 0
            seen.add(label)
            assert (names[label] if label or kind == "labelmap" else "Background") == wanted[pixels[r, c]]
    assert len(seen) == 4
    frames = seg.PerFrameFunctionalGroupsSequence
    positions = {tuple(d.ImagePositionPatient): d.SOPInstanceUID for d in slices}
    for frame in frames:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        assert positions[tuple(frame.PlanePositionSequence[0].ImagePositionPatient)] == source
    referenced = seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert {r.ReferencedSOPInstanceUID for r in referenced} == set(positions.values())
    order = [frame.PlanePositionSequence[0].ImagePositionPatient for frame in frames if kind == "labelmap"]
    numbers = {tuple(d.ImagePositionPatient): d.InstanceNumber for d in slices}
    assert [numbers[tuple(p)] for p in order] == sorted(numbers[tuple(p)] for p in order)


def check_attributes(path: pathlib.Path, slices: list[Dataset]) -> None:
    d, source = pydicom.dcmread(path), slices[0]
    for name in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "FrameOfReferenceUID", "AccessionNumber"):
        assert getattr(d, name) == getattr(source, name), name
    assert d.SeriesInstanceUID != source.SeriesInstanceUID
    thing, size = (next(s for s in d.SegmentSequence if word in s.SegmentLabel) for word in ("left", "Gr"))
    kind = thing.SegmentedPropertyTypeCodeSequence[0]
    assert kind.CodeValue == "42695009"
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    color = highdicom.color.CIELabColor.from_rgb(205, 62, 78).value
    assert np.abs(np.subtract(size.RecommendedDisplayCIELabValue, color)).max() < 8


def write_radiograph(path: pathlib.Path) -> np.ndarray:
    """A digital radiograph of the values 0 to 3, without a place in the patient; returns its pixels."""
    pixels = np.random.default_rng(3).integers(0, 4, (ROWS, COLUMNS)).astype(np.uint16)
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    d.SOPClassUID = d.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    d.StudyInstanceUID, d.SeriesInstanceUID = generate_uid(), generate_uid()
    d.PatientName, d.PatientID, d.PatientBirthDate, d.PatientSex = "Made^Hand", "7", "19700101", "O"
    d.StudyDate, d.StudyTime, d.StudyID, d.AccessionNumber = "20200101", "101500", "1", "A1"
    d.ReferringPhysicianName, d.Manufacturer, d.Modality, d.SeriesNumber = "", "test", "DX", 3
    d.ImageType, d.InstanceNumber, d.PatientOrientation = ["ORIGINAL", "PRIMARY"], 1, ["L", "F"]
    d.ImagerPixelSpacing = ["0.3", "0.2"]
    d.Rows, d.Columns, d.SamplesPerPixel, d.PhotometricInterpretation = ROWS, COLUMNS, 1, "MONOCHROME2"
    d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 12, 11, 0
    d.PixelData = pixels.tobytes()
    d.save_as(path, enforce_file_format=True)
    return pixels


def check_radiograph(folder: pathlib.Path, kind: str) -> None:
    """A model of two dimensions; highdicom finds the labels of the image by its identifier, and no place in the patient."""
    make_model(folder, axes=2)
    path = folder / "radiograph.dcm"
    pixels = write_radiograph(path)
    out = segment(folder, path, kind)
    seg = highdicom.seg.segread(out)
    uid = pydicom.dcmread(path).SOPInstanceUID
    numbers = {s.SegmentNumber: int(s.SegmentDescription.split()[-1]) for s in seg.SegmentSequence if s.SegmentNumber}
    assert sorted(numbers.values()) == sorted(IDS[1:])
    found = seg.get_pixels_by_source_instance([uid], combine_segments=True, assert_missing_frames_are_empty=True)[0]
    assert np.array_equal(np.vectorize(lambda n: numbers.get(n, 0))(found), IDS[pixels])
    assert "FrameOfReferenceUID" not in seg and "PixelMeasuresSequence" not in seg.SharedFunctionalGroupsSequence[0]
    assert all("PlanePositionSequence" not in frame for frame in seg.PerFrameFunctionalGroupsSequence)
    if kind == "binary" and shutil.which("dciodvfy"):
        validate(out)


def validate(path: pathlib.Path) -> None:
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
    assert not errors, errors


def directions() -> list[np.ndarray]:
    """Signed permutations of determinant 1, and an oblique one."""
    out = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            axes = np.zeros((3, 3))
            for column, (row, sign) in enumerate(zip(order, signs, strict=True)):
                axes[row, column] = sign
            if np.linalg.det(axes) > 0:
                out.append(axes)
    assert len(out) == 24
    a, b = np.radians(17), np.radians(-28)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    tip = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return [*out, turn @ tip]


def main() -> int:
    if not PROGRAM.exists():
        print("the program was not built: run `cargo build`")
        return 77
    validator = shutil.which("dciodvfy")
    checked = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        os.environ["XDG_CACHE_HOME"] = name
        make_model(folder)
        for axes, descending in itertools.product(directions(), (False, True)):
            series = folder / f"series{checked}"
            slices = write_series(series, axes, descending)
            for kind in ("binary", "labelmap"):
                keeps = kind == "labelmap" and not descending
                path = segment(folder, series, kind, *(["--keep-empty-frames"] if keeps else []))
                check_labels(path, slices, kind, keeps)
                if kind == "binary" and validator:
                    validate(path)
                checked += 1
            if checked == 2:
                check_attributes(path, slices)
        for kind in ("binary", "labelmap"):
            check_radiograph(folder, kind)
            checked += 1
    said = "dciodvfy finds no error" if validator else "dciodvfy is not installed and was left out"
    print(f"{checked} segmentations have every label where highdicom looks for it; {said}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
