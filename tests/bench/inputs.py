"""Makes what the stages of vs_peers.py read, into a folder: a noisy head of 256^3 voxels, its labels, scores of 33 classes.

    python tests/bench/inputs.py FOLDER [HEAD]

`HEAD` is the study that is segmented; without it, the made one is. Needs numpy, scipy and nibabel, for the DICOM
series pydicom. The same bytes on every run.
"""

import shutil
import sys
from pathlib import Path

import nibabel
import numpy as np
from scipy import ndimage

TESTDATA = Path(__file__).resolve().parents[2] / "testdata"
SIDE = 256
# Conformed as FreeSurfer does: i to the left, j down, k forward.
LIA = np.array([[-1, 0, 0], [0, 0, 1], [0, -1, 0]], float)


def conformed(image):
    """The 1 mm grid of 256^3 voxels around the centre of `image`, and the map from its voxels to the image's."""
    centre = image.affine @ [*(np.array(image.shape) - 1) / 2, 1]
    affine = np.eye(4)
    affine[:3, :3] = LIA
    affine[:3, 3] = centre[:3] - LIA @ np.full(3, (SIDE - 1) / 2)
    return affine, np.linalg.inv(image.affine) @ affine


def onto(image, matrix, order):
    return ndimage.affine_transform(np.asarray(image.dataobj), matrix, output_shape=(SIDE,) * 3, order=order)


def head():
    """Labels and a T1-like image as int16 with noise of a magnitude image (Rician, sigma 12 of about 1000)."""
    image = nibabel.load(TESTDATA / "synthetic_head.nii.gz")
    affine, matrix = conformed(image)
    rng = np.random.default_rng(1)
    real, imaginary = (rng.normal(0, 12, (SIDE,) * 3).astype(np.float32) for _ in range(2))
    noisy = np.hypot(onto(image, matrix, 1) + real, imaginary)
    labels = onto(nibabel.load(TESTDATA / "synthetic_head_seg.nii.gz"), matrix, 0)
    save = lambda data: nibabel.Nifti1Image(data, affine)
    return save(np.rint(noisy).astype(np.int16)), save(labels.astype(np.uint8))


def scores(classes=33, shape=(96, 112, 96)):
    """Scores of regions within a ball, class 0 outside: [classes, k, j, i]."""
    at = np.stack(np.meshgrid(*((np.arange(n) + 0.5) / n - 0.5 for n in shape), indexing="ij"))
    yield 60 * (at**2).sum(0) - 8
    for c in range(1, classes):
        height = 1 - 2 * (c + 0.5) / classes
        radius, angle = np.sqrt(1 - height**2), c * 2.399963
        centre = 0.25 * np.array([height, radius * np.sin(angle), radius * np.cos(angle)])
        yield -20 * ((at - centre[:, None, None, None]) ** 2).sum(0)


def series(image, folder):
    """The image as a DICOM series, slices along k; nothing without pydicom."""
    try:
        import pydicom
    except ImportError:
        return
    folder.mkdir(exist_ok=True)
    lps = np.diag([-1, -1, 1, 1]) @ image.affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    x, y, _ = (lps[:3, :3] / spacing).T
    data = np.asarray(image.dataobj)
    study, uid, frame = (f"1.2.826.0.1.3680043.8.498.{n}" for n in (1, 2, 3))
    for k in range(data.shape[2]):
        d = pydicom.Dataset()
        d.file_meta = pydicom.dataset.FileMetaDataset()
        d.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        d.SOPClassUID = d.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = f"{uid}.{k + 1}"
        d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = study, uid, frame
        d.PatientName = d.PatientID = d.PatientBirthDate = d.PatientSex = d.StudyDate = d.StudyTime = ""
        d.StudyID = d.AccessionNumber = d.ReferringPhysicianName = d.PositionReferenceIndicator = ""
        d.Modality, d.SeriesNumber, d.InstanceNumber, d.Manufacturer = "MR", 1, k + 1, ""
        d.ImageType = ["ORIGINAL", "PRIMARY", "M"]
        d.ImageOrientationPatient = [f"{v:.8f}" for v in (*x, *y)]
        d.ImagePositionPatient = [f"{v:.8f}" for v in (lps @ [0, 0, k, 1])[:3]]
        d.PixelSpacing = [f"{spacing[1]:.6f}", f"{spacing[0]:.6f}"]
        d.SliceThickness = f"{spacing[2]:.6f}"
        d.Rows, d.Columns, d.SamplesPerPixel, d.PhotometricInterpretation = data.shape[1], data.shape[0], 1, "MONOCHROME2"
        d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 16, 15, 1
        d.PixelData = data[:, :, k].T.astype("<i2").tobytes()
        d.save_as(folder / f"{k:04}.dcm", enforce_file_format=True)


def main():
    folder = Path(sys.argv[1])
    image, labels = head()
    nibabel.save(image, folder / "t1.nii.gz")
    nibabel.save(labels, folder / "labels.nii.gz")
    series(image, folder / "series")
    np.asarray(image.dataobj).astype("<f4").ravel("F").tofile(folder / "t1.f32")
    np.stack(list(scores())).astype("<f4").tofile(folder / "scores.f32")
    shutil.copyfile(sys.argv[2] if len(sys.argv) > 2 else folder / "t1.nii.gz", folder / "head.nii.gz")


if __name__ == "__main__":
    main()
