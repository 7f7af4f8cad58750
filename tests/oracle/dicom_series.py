"""Writes volumes as DICOM series for the oracles."""

import pathlib

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid


def write_series(folder: pathlib.Path, voxels: np.ndarray, affine: np.ndarray) -> list[pathlib.Path]:
    """Writes voxels (i = column, j = row, k = slice) that a RAS+ affine places, a file a slice; returns the files by k."""
    folder.mkdir(parents=True, exist_ok=True)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    steps = np.linalg.norm(lps[:3, :3], axis=0)
    study, series, frame = (generate_uid() for _ in range(3))
    files = []
    for k in range(voxels.shape[2]):
        data = pydicom.Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = MRImageStorage
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
        data.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
        data.Modality, data.Manufacturer, data.SeriesDescription = "MR", "made", "head"
        data.PatientName, data.PatientID, data.PatientBirthDate, data.PatientSex = "Made^Head", "7", "", "O"
        data.StudyDate, data.StudyTime, data.AccessionNumber, data.ReferringPhysicianName = "20260102", "101112", "", ""
        data.StudyID, data.SeriesNumber, data.InstanceNumber = "1", 4, k + 1
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study, series, frame
        data.PositionReferenceIndicator = ""
        data.ImagePositionPatient = [f"{v:.9g}" for v in (lps @ [0, 0, k, 1])[:3]]
        directions = (lps[:3, :2] / steps[:2]).T.ravel()
        data.ImageOrientationPatient = [f"{v:.10f}" for v in directions]
        data.PixelSpacing = [f"{steps[1]:.9g}", f"{steps[0]:.9g}"]
        data.SliceThickness = f"{steps[2]:.9g}"
        data.Rows, data.Columns = voxels.shape[1], voxels.shape[0]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
        data.PixelData = np.ascontiguousarray(voxels[:, :, k].T.astype(np.uint16)).tobytes()
        files.append(folder / f"slice_{k:04}.dcm")
        data.save_as(files[-1], enforce_file_format=True)
    return files
