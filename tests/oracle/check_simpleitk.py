"""Every volume of the 140 DICOM cases against SimpleITK (GDCM), read live: the same voxels at the same places, or a
difference whose reason is known.

A difference without a reason is a failure, and so is a reason that no longer holds.
"""

import collections
import json
import pathlib
import shutil
import sys
import tempfile

import nibabel as nib
import numpy as np

try:
    import SimpleITK as sitk
    from check_dicom import DATA, LOSSY, PROGRAM, convert, digest, distance
except ImportError as missing:
    print(f"{missing.name} is not installed")
    sys.exit(77)

#: mm that corners may differ by: SimpleITK takes the spacing of slices from their first two or from a header.
SAME_MM = 0.05


def files_of(path: pathlib.Path) -> list[pathlib.Path]:
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and "Ref" not in file.parts)


def read(path: pathlib.Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """What SimpleITK makes of the files: RAS+ affine and voxels (i fastest first) of each series that it knows."""
    out = []
    with tempfile.TemporaryDirectory() as folder:
        for n, file in enumerate(files_of(path)):
            shutil.copyfile(file, f"{folder}/{n:05}.dcm")
        for series in sitk.ImageSeriesReader.GetGDCMSeriesIDs(folder):
            names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(folder, series)
            try:
                image = sitk.ReadImage(names[0] if len(names) == 1 else names)
            except RuntimeError:
                continue
            if image.GetNumberOfComponentsPerPixel() > 1 or image.GetDimension() < 3:
                continue
            affine = np.eye(4)
            direction = np.array(image.GetDirection()).reshape(image.GetDimension(), -1)[:3, :3]
            affine[:3, :3] = direction * image.GetSpacing()[:3]
            affine[:3, 3] = image.GetOrigin()[:3]
            out.append((np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine, sitk.GetArrayFromImage(image).T.astype(float)))
    return out


def compare(ours: nib.Nifti1Image, affine: np.ndarray, values: np.ndarray, tolerance: float) -> str:
    """`agree`, or what differs."""
    mine = np.asarray(ours.dataobj, float)
    if values.shape != mine.shape:
        return "shape"
    flipped = affine.copy()
    flipped[:3, 3] += affine[:3, 2] * (values.shape[2] - 1)
    flipped[:3, 2] *= -1
    verdicts = []
    for place, voxels in ((affine, values), (flipped, values[:, :, ::-1])):
        if distance(mine.shape, ours.affine, place) > SAME_MM:
            verdicts.append("affine")
        else:
            verdicts.append("agree" if np.allclose(voxels, mine, rtol=1e-5, atol=tolerance) else "values")
    return next(verdict for verdict in ("agree", "values", "affine") if verdict in verdicts)


def reason(case: dict, verdict: str, disagreements: list[dict]) -> str | None:
    """Why SimpleITK has another volume: as the reference reader found it, or by what the case is."""
    known = [item for item in disagreements if item["path"] == case["path"] and item["tool"] == "simpleitk"]
    if known and (verdict == "none" or any(item["status"].startswith(verdict) for item in known)):
        return known[0]["reason"].split(":")[0]
    if "mosaic" in case["path"]:
        return "GDCM does not split mosaics"
    if case["path"].startswith("dicomdir"):
        return "ITK stacks every file of the series UID (time points, echoes, orientations, duplicates) into one axis"
    return None


def main() -> int:
    if not (DATA / "expected.json").exists():
        print("the DICOM test data is not there")
        return 77
    if not PROGRAM.exists():
        print("the program was not built: run `cargo build`")
        return 77
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    expected = json.loads((DATA / "expected.json").read_text())
    counts, reasons, failures = collections.Counter(), collections.defaultdict(list), []
    for case in expected["cases"]:
        if not case["volumes"] or case["outcome"].startswith("refused"):
            continue
        with tempfile.TemporaryDirectory() as name:
            images, _ = convert(DATA / case["path"], pathlib.Path(name))
            theirs = read(DATA / case["path"])
            for volume in case["volumes"]:
                lossy = LOSSY.get(case["path"])
                fits = [
                    image
                    for image in images
                    if list(image.shape) == volume["shape"]
                    and distance(image.shape, image.affine, np.array(volume["affine_ras"])) < 1e-3
                    and (lossy or digest(image.dataobj) == volume["sha256_f32"])
                ]
                assert fits, (case["path"], "is not what check_dicom.py finds")
                verdicts = [compare(fits[0], *other, lossy or 1e-3) for other in theirs]
                verdict = next((v for v in ("agree", "values", "affine", "shape") if v in verdicts), "none")
                counts["agree" if verdict == "agree" else "differ"] += 1
                recorded = volume.get("check", {}).get("simpleitk", {}).get("status")
                if verdict == "agree":
                    continue
                why = reason(case, verdict, expected["disagreements"])
                if why is None or recorded == "agree":
                    failures.append(f"{case['path']}: {verdict} differ(s), recorded as {recorded}")
                else:
                    reasons[why].append(case["path"])
    print("\n".join(failures))
    for why, paths in reasons.items():
        print(f"{len(paths)} volumes: {why}: {', '.join(sorted(set(paths)))}")
    assert not failures, f"{len(failures)} differences have no reason"
    total = sum(counts.values())
    assert total == 110 and counts["agree"] >= 53, counts
    print(f"{counts['agree']} of {total} volumes as SimpleITK reads them; {counts['differ']} differ for {len(reasons)} reasons")
    return 0


if __name__ == "__main__":
    sys.exit(main())
