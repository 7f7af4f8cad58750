"""DICOM as volumes: each of the 140 cases through `unet-vol convert`, judged by the expected figures and by dcm2niix.

Volumes: hash of the voxels and affine. Single images without a place: refused, but radiographs are one slice, equal to
what pydicom decodes. Lossy JPEG: within 1 of the reference's mean and within 1 (12 bits: 2) of pydicom's samples.
Where dcm2niix is known to be right, its own file must lie where ours lies and hold the same numbers. A tilted head is
straightened as dcm2niix straightens it.
"""

import collections
import hashlib
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import nibabel as nib
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
DATA = pathlib.Path(os.environ.get("UNET_VOL_SHARED", ROOT / "../shared")) / "data/dicom"
PROGRAM = TARGET / "debug/unet-vol"
DCM2NIIX = pathlib.Path(sys.executable).parent / "dcm2niix"
SAME_MM = 1e-2
LOSSY = {
    "single/CT0012.fragmented_no_bot_jpeg_baseline.51.dcm": 2,
    "single/JPGExtended.dcm": 2,
    "single/JPEG-lossy.dcm": 2,
    "single/dx_image_jpeg_baseline.dcm": 1,
}
RADIOGRAPHS = ("CR", "DX")


def corners(shape):
    return np.array([[*c, 1] for c in itertools.product(*((0, n - 1) for n in shape[:3]))], float).T


def distance(shape, a, b):
    """Largest distance in mm between corner voxels."""
    return np.linalg.norm(((a - b) @ corners(shape))[:3], axis=0).max()


def convert(path, folder):
    """Every volume that the program makes of a path, and whether it refused something."""
    done = subprocess.run([PROGRAM, "convert", path, "-o", f"{folder}/", "-q"], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 3, 4, 7), (done.returncode, done.stderr)
    assert "panicked" not in done.stderr, done.stderr
    return [nib.load(file) for file in sorted(folder.glob("*.nii.gz"))], done.returncode != 0


def digest(values):
    return hashlib.sha256(np.asfortranarray(values, "<f4").tobytes("F")).hexdigest()


def check_volumes(case, images):
    """The expected volumes, no more and no less."""
    left = list(images)
    for wanted in case["volumes"]:
        lossy = LOSSY.get(case["path"])
        for image in left:
            values = np.asarray(image.dataobj)
            if list(image.shape) != wanted["shape"]:
                continue
            if digest(values) == wanted["sha256_f32"] or (lossy and abs(values.mean() - wanted["mean"]) < 0.02):
                break
        else:
            raise AssertionError(f"no volume {wanted['shape']} among {[i.shape for i in left]}")
        mm = distance(image.shape, image.affine, np.array(wanted["affine_ras"]))
        assert mm < 1e-3, f"corners are {mm} mm off"
        left.remove(image)
    if case["path"].startswith("dicomdir"):
        left = [image for image in left if image.shape[2] > 1]  # radiographs are a slice each
    assert not left, f"{len(left)} volumes more than expected"


def check_radiograph(case, images):
    """One slice with the samples that pydicom decodes."""
    import pydicom

    assert len(images) == 1, f"{len(images)} volumes"
    image = images[0]
    data = pydicom.dcmread(DATA / case["path"], force=True)
    if "TransferSyntaxUID" not in data.file_meta:
        data.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    stored = data.pixel_array.astype(int)
    ours = np.asarray(image.dataobj)[:, :, 0].T
    assert ours.shape == stored.shape
    assert np.abs(ours - stored).max() <= LOSSY.get(case["path"], 0)


def judge(case, folder):
    outcome, modality = case["outcome"], case["header"].get("modality")
    if outcome.startswith("segmentation object"):
        return "segmentation"
    images, refused = convert(DATA / case["path"], folder)
    if outcome.startswith("pixels only") and modality in RADIOGRAPHS:
        check_radiograph(case, images)
        return "radiograph"
    if outcome.startswith("refused (HighBit"):
        assert refused and not images, "HighBit 15 of 12 bits was not refused"
        return "refused"
    check_volumes(case, images)
    if not case["volumes"]:
        assert refused, "nothing was refused"
        return "refused"
    return "volume"


def check_against_dcm2niix(case, images, folder):
    """The number of volumes that dcm2niix writes alike: same voxels, same places."""
    command = [DCM2NIIX, "-b", "n", "-z", "n", "-f", "%s_%i", "-o", folder, DATA / case["path"]]
    subprocess.run(command, capture_output=True, check=False)
    theirs = [nib.load(file) for file in folder.glob("*.nii")]
    for ours in images:
        assert any(is_alike(ours, other) for other in theirs), f"dcm2niix has no volume like ours of {ours.shape}"
    return len(images)


def is_alike(ours, other):
    """True for the same voxels at the same places, in whatever order the axes are stored."""
    if other.get_data_dtype().fields:
        return False  # colors
    values = np.asarray(ours.dataobj, float)
    turned = np.asarray(other.dataobj, float)
    turned = turned.reshape(turned.shape + (1,) * (values.ndim - turned.ndim))
    orientations = [nib.io_orientation(image.affine) for image in (other, ours)]
    change = nib.orientations.ornt_transform(*orientations)
    affine = other.affine @ nib.orientations.inv_ornt_aff(change, turned.shape[:3])
    turned = nib.orientations.apply_orientation(turned, change)
    if turned.shape != values.shape or distance(ours.shape, ours.affine, affine) > SAME_MM:
        return False
    if values.ndim == 4:
        steps = [float(image.header["pixdim"][4]) for image in (ours, other)]
        assert abs(steps[0] - steps[1]) < 1e-3 * max(steps[1], 1), f"time steps {steps}"
    return np.allclose(turned, values, rtol=1e-5, atol=1e-3)


def check_straightened():
    """A tilted head straightened: the grid of dcm2niix's `_Tilt` file, and its values but for the rim of the slices."""
    with tempfile.TemporaryDirectory() as name:
        folder, series = pathlib.Path(name), DATA / "series/ct_head_tilt_ge_jpll"
        subprocess.run([PROGRAM, "convert", series, "-o", folder / "ours.nii", "--on-tilt", "resample", "-q"], check=True)
        subprocess.run([DCM2NIIX, "-b", "n", "-z", "n", "-f", "theirs", "-o", folder, series], capture_output=True, check=False)
        ours, theirs = nib.load(folder / "ours.nii"), nib.load(folder / "theirs_Tilt_1.nii")
        assert ours.shape == theirs.shape and np.allclose(ours.header.get_zooms(), theirs.header.get_zooms(), atol=1e-4)
        difference = np.abs(np.asarray(ours.dataobj, float) - np.flip(np.asarray(theirs.dataobj, float), 1))
        assert (difference <= 1).mean() > 0.99, (difference <= 1).mean()


def main() -> int:
    if not (DATA / "expected.json").exists():
        print("the DICOM test data is not there")
        return 77
    if not PROGRAM.exists():
        print("the program was not built: run `cargo build`")
        return 77
    cases = json.loads((DATA / "expected.json").read_text())["cases"]
    assert len(cases) == 140
    counts, failures, alike = collections.Counter(), [], 0
    for case in cases:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "ours").mkdir(), (folder / "theirs").mkdir()
            try:
                counts[judge(case, folder / "ours")] += 1
                checks = [volume.get("check", {}).get("dcm2niix", {}).get("status") for volume in case["volumes"]]
                if checks and all(status == "agree" for status in checks) and case["path"] not in LOSSY:
                    images = [nib.load(file) for file in sorted((folder / "ours").glob("*.nii.gz"))]
                    alike += check_against_dcm2niix(case, images, folder / "theirs")
            except AssertionError as error:
                failures.append(f"{case['path']} ({case['outcome']}): {error}")
    print("\n".join(failures))
    assert not failures, f"{len(failures)} of 140 cases fail"
    assert alike >= 60, alike
    check_straightened()
    print(f"140 cases: {', '.join(f'{n} {kind}' for kind, n in counts.items())}; {alike} volumes as dcm2niix writes them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
