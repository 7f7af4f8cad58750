#!/usr/bin/env python3
"""Write the made files of this folder; each part is a function named after its folder.

    python testdata/generate.py            # all parts
    python testdata/generate.py nifti      # one part

Deterministic: no clock, no random numbers, gzip time stamps are zero. Needs numpy and nibabel (dicom:
pydicom, python-gdcm, pyjpegls, pylibjpeg-openjpeg); nothing here is a scan.
"""
import gzip
import hashlib
import io
import json
import struct
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

HERE = Path(__file__).resolve().parent


def write(folder, name, content):
    path = HERE / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def patched(raw, **fields):
    """NIfTI-1 bytes with header fields replaced; the names are those of nifti1.h."""
    places = dict(
        sizeof_hdr=(0, "i"), dim=(40, "8h"), datatype=(70, "h"), bitpix=(72, "h"), pixdim=(76, "8f"),
        vox_offset=(108, "f"), scl_slope=(112, "f"), scl_inter=(116, "f"), qform_code=(252, "h"), sform_code=(254, "h"),
        quatern=(256, "3f"), srow=(280, "12f"), magic=(344, "4s"), extension=(348, "4s"),
    )  # fmt: skip
    out = bytearray(raw)
    for name, value in fields.items():
        offset, kind = places[name]
        struct.pack_into("<" + kind, out, offset, *(value if isinstance(value, tuple) else (value,)))
    return bytes(out)


def nifti():
    """Small NIfTI files with the outcome that each must have, in nifti/ and, for hostile ones, in hostile/."""
    voxels = np.arange(120).reshape((6, 5, 4), order="F")
    oblique = np.array([[-1.4, 0.5, 0.3, 20], [0.4, 1.9, -0.5, -30], [-0.3, 0.6, 2.9, -10], [0, 0, 0, 1]])
    # A shearless oblique, left-handed affine: the rotation nearest to `oblique`, 1.5 x 2 x 3 mm.
    u, _, v = np.linalg.svd(oblique[:3, :3] / np.linalg.norm(oblique[:3, :3], axis=0))
    tilted = oblique.copy()
    tilted[:3, :3] = (u @ v) * [1.5, 2, 3]

    def image(data=voxels, kind="<i2", affine=tilted, qform=1, sform=1, cls=nib.Nifti1Image):
        out = cls(np.asarray(data).astype(kind), None, dtype=np.dtype(kind))
        out.set_qform(affine if qform else None, qform, update_affine=False)
        out.set_sform(affine if sform else None, sform, update_affine=False)
        out.header.set_xyzt_units("mm", "sec")
        return out

    def big_endian(cls, kind):
        header = cls.header_class(endianness=">")
        header.set_data_dtype(kind)
        out = cls(voxels.astype(kind), tilted, header=header)
        out.set_qform(tilted, 1)
        return out.to_bytes()

    plain = image().to_bytes()
    two = image(cls=nib.Nifti2Image).to_bytes()
    packed = gzip.compress(plain, 9, mtime=0)
    quaternion = image(sform=0).to_bytes()
    neither = image(qform=0, sform=0)
    neither.header.set_zooms((1.5, 2, 3))
    extended = image()
    extended.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"a comment that must survive"))
    extended.header["descrip"] = b"a description"
    nan, flag = float("nan"), b"\1\0\0\0"

    good = {f"{kind}.nii": image(kind=f"<{kind}").to_bytes() for kind in "u1 i1 u2 i2 u4 i4 u8 i8 f4 f8".split()}
    good |= {
        "gzip.nii.gz": packed,
        "members.nii.gz": gzip.compress(plain[:400], 9, mtime=0) + gzip.compress(plain[400:], 9, mtime=0) + bytes(512),
        "big_endian.nii": big_endian(nib.Nifti1Image, ">i2"),
        "two.nii": two,
        "two_big_endian.nii.gz": gzip.compress(big_endian(nib.Nifti2Image, ">u2"), 9, mtime=0),
        "qform_only.nii": quaternion,
        "sform_only.nii": image(qform=0, sform=2).to_bytes(),
        "sheared.nii": image(affine=oblique, qform=0).to_bytes(),
        "scaled.nii": patched(plain, scl_slope=2.5, scl_inter=-1024.0),
        "slope_zero.nii": patched(plain, scl_slope=0.0, scl_inter=7.0),
        "slope_nan.nii": patched(plain, scl_slope=nan, scl_inter=nan),
        "beyond_f32.nii": image(np.resize([16777217, 2**31 - 1, 3], (6, 5, 4)), "<i4").to_bytes(),
        "gap.nii": patched(plain[:352] + b"\xee" * 16 + plain[352:], vox_offset=368.0),
        "extension.nii": extended.to_bytes(),
        "four_dimensions.nii": image(np.stack([voxels, voxels + 200], -1)).to_bytes(),
        "one_volume.nii": image(voxels[..., None]).to_bytes(),
        "flat.nii": image(voxels[:, :, 0]).to_bytes(),
    }
    warned = {
        "neither.nii": ("no-orientation", neither.to_bytes()),
        "disagree.nii": ("forms-disagree", patched(plain, quatern=(0.0, 0.0, 0.0))),
        "bits.nii": ("bits-per-voxel", patched(plain, bitpix=8)),
        "offset_zero.nii": ("voxel-offset", patched(plain, vox_offset=0.0)),
        "trailing.nii": ("trailing-bytes", plain + b"more"),
        "sform_nan.nii": ("form-unusable", patched(plain, srow=(nan,) * 12)),
        "pair_magic.nii": ("pair-magic", patched(plain, magic=b"ni1\0")),
        "extension_endless.nii": (
            "extensions-dropped",
            patched(plain[:352] + struct.pack("<ii", 0, 6) + bytes(8) + plain[352:], vox_offset=368.0, extension=flag),
        ),
    }
    bad_checksum = bytearray(packed)
    bad_checksum[-8] ^= 255
    hostile = {
        "checksum.nii.gz": ("malformed", bytes(bad_checksum)),
        "cut_trailer.nii.gz": ("malformed", packed[:-5]),
        "cut.nii.gz": ("malformed", packed[: len(packed) // 2]),
        "cut.nii": ("malformed", plain[:-1]),
        "cut_header.nii": ("malformed", plain[:200]),
        "empty.nii": ("malformed", b""),
        "magic.nii": ("malformed", patched(plain, magic=b"n+9\0")),
        "negative.nii": ("malformed", patched(plain, dim=(3, -6, 5, 4, 1, 1, 1, 1))),
        "many_voxels.nii": ("limit", two[:16] + struct.pack("<8q", 3, 2**20, 2**20, 2**20, 1, 1, 1, 1) + two[80:]),
        "overflow.nii": ("limit", two[:16] + struct.pack("<8q", 3, 2**32, 2**32, 2, 1, 1, 1, 1) + two[80:]),
        "bomb.nii.gz": ("malformed", gzip.compress(patched(plain, dim=(3, 1600, 1600, 1600, 1, 1, 1, 1)), 9, mtime=0)),
        "quaternion.nii": ("malformed", patched(quaternion, quatern=(1.0, 1.0, 1.0))),
        "intercept.nii": ("malformed", patched(plain, scl_slope=2.0, scl_inter=nan)),
        "pointer.nii.gz": ("malformed", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"),
        "analyze.hdr": ("unsupported", patched(plain, magic=b"\0\0\0\0")[:348]),
        "complex.nii": ("unsupported", image(kind="<c8").to_bytes()),
        "volume.nrrd": ("unsupported", b"NRRD0004\ntype: short\ndimension: 3\nsizes: 1 1 1\nencoding: raw\n\n\0\0"),
        "volume.mha": ("unsupported", b"ObjectType = Image\nNDims = 3\nDimSize = 1 1 1\nElementDataFile = LOCAL\n\0\0"),
        "volume.mgz": ("unsupported", gzip.compress(struct.pack(">7i", 1, 1, 1, 1, 1, 0, 0) + bytes(260), 9, mtime=0)),
        "archive.zip": ("unsupported", b"PK\x03\x04" + bytes(60)),
    }

    expected = {"good": {}, "warned": {}, "hostile": {name: kind for name, (kind, _) in hostile.items()}}
    for name, raw in good.items():
        expected["good"][name] = described(write("nifti", name, raw))
    for name, (code, raw) in warned.items():
        write("nifti", name, raw)
        # nibabel refuses some of these and believes nonsense in others: the voxels are those of the plain file.
        expected["warned"][name] = {"code": code, "sha256_f64le_fortran": digest(voxels)}
    for name, (_, raw) in hostile.items():
        write("hostile", name, raw)
    pair = nib.Nifti1Pair(voxels.astype("<i2"), tilted)
    files = {kind: nib.FileHolder(fileobj=io.BytesIO()) for kind in ("header", "image")}
    pair.to_file_map(files)
    header = write("nifti", "pair.hdr", files["header"].fileobj.getvalue())
    write("nifti", "pair.img", files["image"].fileobj.getvalue())
    expected["good"]["pair.hdr"] = described(header)
    write("nifti", "expected.json", (json.dumps(expected, indent=1) + "\n").encode())


def digest(values):
    return hashlib.sha256(np.asarray(values, "<f8").tobytes("F")).hexdigest()


def described(path):
    """What nibabel makes of a file."""
    if path.name == "members.nii.gz":
        image = nib.Nifti1Image.from_bytes(gzip.decompress(path.read_bytes()))
    else:
        image = nib.load(path)
    header = image.header
    return {
        "format": "Nifti2" if isinstance(header, nib.Nifti2Header) else "Nifti1",
        "endian": "big" if header.endianness == ">" else "little",
        "shape": list(image.shape),
        "dtype": header.get_data_dtype().name,
        "sform_code": int(header["sform_code"]),
        "qform_code": int(header["qform_code"]),
        "extensions": [[int(e.get_code())] for e in header.extensions],
        "affine": image.affine.tolist(),
        "orientation": "".join(nib.aff2axcodes(image.affine)),
        "sha256_f64le_fortran": digest(np.asanyarray(image.dataobj)),
    }


def dicom():
    """One slice in each codec that pydicom and GDCM write: 40 x 32 samples of 12 bits (8 in JPEG baseline and extended)."""
    import gdcm  # python-gdcm
    import pydicom
    from pydicom import uid

    def dataset(bits, stored):
        data = pydicom.Dataset()
        data.file_meta = pydicom.dataset.FileMetaDataset()
        data.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = uid.MRImageStorage
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = "1.2.3.4.1"
        data.file_meta.ImplementationClassUID = "1.2.3.9"
        data.StudyInstanceUID, data.SeriesInstanceUID = "1.2.3", "1.2.3.4"
        data.Modality, data.SeriesDescription, data.SeriesNumber = "MR", "Made slice", 1
        data.PatientName, data.PatientID = "Made^Up", "0"
        data.Rows, data.Columns, data.SamplesPerPixel, data.PhotometricInterpretation = 32, 40, 1, "MONOCHROME2"
        data.PixelSpacing, data.SliceThickness = [2, 1.5], 3
        data.ImagePositionPatient, data.ImageOrientationPatient = [-10, 5, 0], [1, 0, 0, 0, 1, 0]
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = bits, stored, stored - 1, 0
        j, i = np.mgrid[:32, :40]
        samples = (np.hypot(i - 9, j - 7) * 97 + 13 * i) % (1 << stored)
        data.PixelData = samples.astype(np.uint8 if bits == 8 else "<u2").tobytes()
        return data

    def stored(data):
        memory = io.BytesIO()
        data.save_as(memory, enforce_file_format=True)
        return memory.getvalue()

    syntaxes = {
        "rle": uid.RLELossless,
        "jpeg_ls": uid.JPEGLSLossless,
        "jpeg_2000": uid.JPEG2000Lossless,
        "jpeg_2000_lossy": uid.JPEG2000,
    }
    for name, syntax in syntaxes.items():
        data = dataset(16, 12)
        lossy = {"j2k_cr": [4]} if syntax == uid.JPEG2000 else {}
        data.compress(syntax, generate_instance_uid=False, **lossy)
        write("dicom", f"{name}.dcm", stored(data))
    plain = write("dicom", "plain.dcm", stored(dataset(16, 12)))
    plain8 = write("dicom", "plain8.dcm", stored(dataset(8, 8)))
    for name, path, syntax in [
        ("jpeg_lossless", plain, gdcm.TransferSyntax.JPEGLosslessProcess14_1),
        ("jpeg_baseline", plain8, gdcm.TransferSyntax.JPEGBaselineProcess1),
        ("jpeg_extended", plain8, gdcm.TransferSyntax.JPEGExtendedProcess2_4),
    ]:
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
        change.SetInput(reader.GetImage())
        assert change.Change()
        made = dataset(8, 8) if path is plain8 else dataset(16, 12)
        made.file_meta.TransferSyntaxUID = gdcm.TransferSyntax(syntax).GetString()
        frame = change.GetOutput().GetDataElement().GetSequenceOfFragments().GetFragment(0)
        frame = frame.GetByteValue().GetBuffer().encode("utf-8", "surrogateescape")
        made.PixelData = pydicom.encaps.encapsulate([frame])
        write("dicom", f"{name}.dcm", stored(made))


def pictures():
    """JPEG of two halves: progressive grey, progressive color, baseline color."""
    from PIL import Image

    color = np.zeros((8, 16, 3), np.uint8)
    color[:, :8], color[:, 8:] = (200, 40, 60), (10, 120, 240)
    grey = np.where(np.arange(16) < 8, 70, 190).astype(np.uint8) * np.ones((8, 1), np.uint8)
    for name, pixels, progressive in [
        ("progressive_grey", grey, True),
        ("progressive_color", color, True),
        ("color", color, False),
    ]:
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "JPEG", quality=95, subsampling=0, progressive=progressive)
        write("pictures", f"{name}.jpg", out.getvalue())


PARTS = {"nifti": nifti, "dicom": dicom, "pictures": pictures}


def main():
    names = sys.argv[1:] or list(PARTS)
    for name in names:
        PARTS[name]()
        print(f"wrote {name}")


if __name__ == "__main__":
    main()
