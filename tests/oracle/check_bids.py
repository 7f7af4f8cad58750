"""A batch as BIDS derivative: the BIDS validator finds no error, and nibabel reads labels that the table names."""

import csv
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import nibabel as nib
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEAD = ROOT / "testdata/synthetic_head.nii.gz"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
NAMES = (
    "sub-01/ses-pre/anat/sub-01_ses-pre_acq-hires_run-1_T1w.nii.gz",
    "sub-02/anat/sub-02_ce-gd_rec-norm_echo-1_part-mag_T1w.nii.gz",
    "sub-02/anat/sub-02_ce-gd_rec-norm_echo-1_part-mag_T2w.nii.gz",
    "ward 7/Head (1).nii.gz",
)


def validated(validator: str, dataset: pathlib.Path) -> dict[str, int]:
    """Issues by code, all severities; an error fails."""
    done = subprocess.run([validator, str(dataset), "--format", "json"], capture_output=True, text=True, check=False)
    issues = json.loads(done.stdout)["issues"]["issues"]
    errors = [issue for issue in issues if issue["severity"] == "error"]
    assert not errors and done.returncode == 0, errors
    counts: dict[str, int] = {}
    for issue in issues:
        counts[issue["code"]] = counts.get(issue["code"], 0) + 1
    return counts


def check_case(labels: pathlib.Path) -> None:
    """The table names every label, and the grid is the head's."""
    image, source = nib.load(labels), nib.load(HEAD)
    assert image.shape == source.shape and np.array_equal(image.affine, source.affine)
    with labels.with_name(labels.name.replace(".nii.gz", ".tsv")).open() as file:
        names = {int(row["index"]): row["name"] for row in csv.DictReader(file, delimiter="\t")}
    found = set(np.unique(np.asarray(image.dataobj)).tolist())
    assert len(found) > 20 and found <= set(names), found - set(names)


def main() -> int:
    program = TARGET / "debug/unet-vol"
    beside = pathlib.Path(sys.executable).with_name("bids-validator-deno")
    validator = str(beside) if beside.exists() else shutil.which("bids-validator-deno")
    if validator is None or not program.exists():
        print("skipped: bids-validator-deno is not installed" if validator is None else "the program was not built")
        return 77
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CACHE_HOME"] = name
        raw, out = pathlib.Path(name, "raw"), pathlib.Path(name, "labels")
        for path in NAMES:
            (raw / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(HEAD, raw / path)
        command = [program, "batch", raw, "-o", out, "--layout", "bids", "--stats", "--preview", "--engine", "embedded"]
        subprocess.run([*command, "--log-file", pathlib.Path(name, "log"), "-q"], capture_output=True, check=True)
        files = sorted(out.rglob("*_dseg.nii.gz"))
        assert len(files) == len(NAMES), files
        for labels in files:
            check_case(labels)
        warnings = validated(validator, out)
    print(f"{len(files)} segmentations, no error; warnings: {', '.join(sorted(warnings)) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
