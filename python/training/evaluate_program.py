"""Judges the brain model as a user gets it: every labeling is made by `unet-vol` itself, from files to files.

    python evaluate_program.py --program unet-vol --scans brain/ --meshnets models/ --data data --figures figures.json

`--scans` holds oasis_t1, oasis_seg, t1_crop and ms19_{t1,t2,flair} .nii.gz (origins: ../../src/model/weights/brain-mri.md),
`--meshnets` brainchop's networks, `--data` the label maps as `generate.py prepare` writes them. Parts whose files are not
given are left out. The tables go to the terminal with the bar beside each figure.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from scipy import ndimage

from evaluate import CONTRASTS, TINY, UNCOMPARABLE, contrast, dice, freesurfer_to_ids, means, undeformed
from generate import synthesise
from labels import CLASS_IDS, CLASSES

SPECS = Path(__file__).parents[2] / "examples" / "specs"
HEAD = Path(__file__).parents[2] / "testdata" / "synthetic_head.nii.gz"

AFTER_10_H = {
    "cerebral white matter": 0.90, "cerebral cortex": 0.83, "lateral ventricle": 0.88, "inferior lateral ventricle": 0.30,
    "cerebellum white matter": 0.80, "cerebellum cortex": 0.86, "thalamus": 0.87, "caudate": 0.84, "putamen": 0.85,
    "pallidum": 0.76, "3rd ventricle": 0.75, "4th ventricle": 0.72, "brain-stem": 0.90, "hippocampus": 0.81,
    "amygdala": 0.78, "accumbens area": 0.66, "ventral DC": 0.80,
}  # fmt: skip
"""What each structure is expected to reach on the OASIS T1 after ten hours of training."""
SUBCORTICAL = {
    "Lateral-Ventricle": (4, 43), "Cerebellum-White-Matter": (7, 46), "Cerebellum-Cortex": (8, 47),
    "Thalamus": (10, 49), "Caudate": (11, 50), "Putamen": (12, 51), "Pallidum": (13, 52), "3rd-Ventricle": (14,),
    "4th-Ventricle": (15,), "Brain-Stem": (16,), "Hippocampus": (17, 53), "Amygdala": (18, 54),
    "Cerebral-White-Matter": (2, 41), "Cerebral-Cortex": (3, 42),
}  # fmt: skip
"""Names of the MeshNet with 18 classes and our ids."""


class Program:
    """`unet-vol segment` with the options that all runs share."""

    def __init__(self, path: str, model: str, more: list[str], folder: Path) -> None:
        self.path, self.model, self.more, self.folder = path, model, more, folder
        self.count = itertools.count()

    def run(self, image: Path, *more: str) -> tuple[np.ndarray, dict]:
        """(labels on the grid of the file, in its storage order; the manifest)."""
        out = self.folder / f"labels{next(self.count)}.nii.gz"
        options = more if "--model" in more else ("--model", self.model, *self.more, *more)
        command = [self.path, "segment", str(image), "-o", str(out), "--json", "--quiet", *options]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return np.asarray(nib.load(out).dataobj).astype(np.int32), json.loads(done.stdout)

    def run_array(self, volume: np.ndarray, affine: np.ndarray, *more: str) -> tuple[np.ndarray, dict]:
        image = self.folder / f"image{next(self.count)}.nii.gz"
        nib.save(nib.Nifti1Image(volume, affine), image)
        return self.run(image, *more)


def mean_dice(got: np.ndarray, want: np.ndarray) -> float:
    return means(dice(got, want), UNCOMPARABLE)["mean"]


def verdict(value: float, bar: float) -> str:
    return f"{value:.3f} | {bar:.3f} | {'reached' if value >= bar else 'missed'}"


def row(*cells: object) -> None:
    print("| " + " | ".join(str(c) for c in cells) + " |")


def head(title: str, *cells: str) -> None:
    print(f"\n{title}\n")
    row(*cells)
    row(*["---"] * len(cells))


# ------------------------------------------------------------------------------------------------------------- (a)
def held_back(program: Program, data: Path, figures: dict) -> None:
    scores: dict[str, list[float]] = {name: [] for name in CONTRASTS}
    for number in (19, 20):
        volume = torch.from_numpy(undeformed(data, number))
        for i, name in enumerate(CONTRASTS):
            rs = np.random.RandomState(10000 * number + i)
            s = synthesise(volume, rs, 1.0, contrast(name, rs), thick=False)
            got, _ = program.run_array(s.image.numpy(), np.diag([2.0, 2.0, 2.0, 1.0]))
            scores[name].append(mean_dice(got, CLASS_IDS[s.first.numpy()]))
    head("(a) Held-back maps 19 and 20 in five contrasts, 31 structures at 2 mm", "contrast", "19", "20")
    for name, values in scores.items():
        row(name, *(f"{v:.3f}" for v in values))
    mean = float(np.mean(list(scores.values())))
    row("mean", verdict(mean, 0.78), "goal 0.85")
    figures["held_back"] = dict(scores=scores, mean=mean)


# ------------------------------------------------------------------------------------------------------------- (b)
def oasis(program: Program, scans: Path, figures: dict) -> tuple[nib.Nifti1Image, np.ndarray, float]:
    image = nib.load(scans / "oasis_t1.nii.gz")
    want = freesurfer_to_ids(np.asarray(nib.load(scans / "oasis_seg.nii.gz").dataobj))
    got, manifest = program.run(scans / "oasis_t1.nii.gz")
    confidence = {label["id"]: label["confidence"] for label in manifest["labels"]}
    scores = {i: d for i, d in dice(got, want).items() if i not in UNCOMPARABLE}
    head("(b) OASIS T1 at 1 mm against FreeSurfer", "id", "structure", "Dice", "bar", "", "score of the run")
    for i, name in CLASSES[1:]:
        if i in scores:
            bar = AFTER_10_H[name.removeprefix("left ").removeprefix("right ")]
            row(i, name, verdict(scores[i], bar), f"{(confidence[i] or {}).get('score', 0):.2f}")
    m = means(scores, UNCOMPARABLE)
    row("", "mean of 31", verdict(m["mean"], 0.80), "goal 0.85")
    row("", f"mean of 27, without {sorted(TINY)}", verdict(m["mean_without_tiny"], 0.83), "goal 0.87")
    with_score = [(d, confidence[i]["score"]) for i, d in scores.items() if confidence[i]]
    print(f"\nCorrelation of Dice and score over the structures: {np.corrcoef(*zip(*with_score))[0, 1]:.2f}")
    tta = mean_dice(program.run(scans / "oasis_t1.nii.gz", "--tta")[0], want)
    print(f"With --tta: mean of 31 {tta:.3f}")
    figures["oasis"] = dict(dice={str(i): round(d, 4) for i, d in scores.items()}, mean=m["mean"], mean_tta=tta)
    return image, want, m["mean"]


# ------------------------------------------------------------------------------------------------------------- (c)
def whole_head(program: Program, scans: Path, meshnets: Path | None, figures: dict) -> None:
    file = scans / "t1_crop.nii.gz"
    got, _ = program.run(file)
    image = nib.load(file)
    volume = np.asarray(image.dataobj)
    bright = ndimage.binary_fill_holes(largest(volume > 0.1 * np.percentile(volume, 99.5)))
    inside = ndimage.distance_transform_edt(~bright, image.header.get_zooms()[:3]) <= 5.0
    outside = int(((got > 0) & ~inside).sum())
    print(f"\n(c) Whole head T1: {outside} labeled voxels outside the head grown by 5 mm (bar: 0)")
    figures["outside_head"] = outside
    if not meshnets:
        return
    head("Whole head T1 against MeshNets of brainchop", "network", "structure", "Dice")
    networks = {name: ("--model", str(meshnets / f"{name}.onnx"), "--spec", str(SPECS / f"{name}.toml")) for name in
                ("meshnet_gw3", "meshnet_subcort18")}  # fmt: skip
    other, _ = program.run(file, *networks["meshnet_gw3"])
    for name, value, ids in (("white matter", 1, (2, 41, 7, 46)), ("grey matter", 2, (3, 42, 8, 47, *range(10, 14), 17, 18, 26, *range(49, 55), 58))):
        row("gw3", name, f"{overlap(np.isin(got, ids), other == value):.3f}")
    other, manifest = program.run(file, *networks["meshnet_subcort18"])
    value = {label["name"]: label["id"] for label in manifest["labels"]}
    deep = {}
    for name, ids in SUBCORTICAL.items():
        deep[name] = overlap(np.isin(got, ids), other == value[name])
        row("subcort18", name, f"{deep[name]:.3f}")
    figures["meshnet"] = deep


def largest(mask: np.ndarray) -> np.ndarray:
    parts, _ = ndimage.label(mask)
    return parts == np.bincount(parts.ravel())[1:].argmax() + 1


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / max(a.sum() + b.sum(), 1))


# ------------------------------------------------------------------------------------------------------------- (d)
def contrasts(program: Program, scans: Path, figures: dict) -> None:
    got = {name: program.run(scans / f"ms19_{name}.nii.gz")[0] for name in ("t1", "t2", "flair")}
    head("(d) One patient in three contrasts, structures of 500 voxels or more in both", "pair", "structures", "mean Dice", "bar", "")
    pairs = {}
    for a, b in itertools.combinations(got, 2):
        large = [i for i in CLASS_IDS[1:] if min((got[a] == i).sum(), (got[b] == i).sum()) >= 500]
        pairs[f"{a} / {b}"] = float(np.mean([overlap(got[a] == i, got[b] == i) for i in large]))
        row(f"{a} / {b}", len(large), verdict(pairs[f"{a} / {b}"], 0.80))
    figures["contrasts"] = pairs


# ------------------------------------------------------------------------------------------------------------- (e)
def thick(volume: np.ndarray, want: np.ndarray, affine: np.ndarray, mm: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slices of `mm` along the storage axis that runs superior: means of the image, the label of most voxels."""
    axis = int(np.abs(affine[2, :3]).argmax())
    n = volume.shape[axis] // mm
    cut = [slice(None)] * 3
    cut[axis] = slice(0, n * mm)
    shape = [s for s in volume.shape]
    shape[axis : axis + 1] = [n, mm]
    image = volume[tuple(cut)].reshape(shape).mean(axis + 1).astype(np.float32)
    blocks = want[tuple(cut)].reshape(shape)
    best, count = np.zeros(image.shape, np.int32), np.zeros(image.shape, np.int32)
    for i in np.unique(want):
        hits = (blocks == i).sum(axis + 1)
        best[hits > count], count = i, np.maximum(count, hits)
    new = affine.copy()
    new[:3, 3] += affine[:3, axis] * (mm - 1) / 2
    new[:3, axis] *= mm
    return image, best, new


def variants(volume: np.ndarray, want: np.ndarray, affine: np.ndarray):
    """(name, image, labels wanted, affine, allowed loss)."""
    for mm in (2, 3, 5):
        yield (f"{mm} mm slices", *thick(volume, want, affine, mm), 0.06)
    turned = [ndimage.rotate(v, 20, axes=(0, 2), reshape=False, order=o) for v, o in ((volume, 1), (want, 0))]
    yield "rotated by 20 degrees", *turned, affine, 0.06
    for axis in range(3):
        flip = np.eye(4)
        flip[axis, axis], flip[axis, 3] = -1, volume.shape[axis] - 1
        yield f"stored flipped along axis {axis}", np.flip(volume, axis), np.flip(want, axis), affine @ flip, 0.06
    top = np.percentile(volume, 99.5)
    rng = np.random.default_rng(1)
    yield "noise of 10 %", np.abs(volume + rng.normal(0, 0.1 * top, volume.shape)), want, affine, 0.06
    inside = volume > 0
    yield "inverted in the brain", np.where(inside, np.clip(top - volume, 0, None) + 0.1 * top, 0), want, affine, 0.08


def robustness(program: Program, image: nib.Nifti1Image, want: np.ndarray, base: float, figures: dict) -> None:
    volume = np.asarray(image.dataobj, np.float32)
    head("(e) The OASIS T1 changed, mean Dice of 31", "variant", "Dice", "bar", "")
    figures["variants"] = {}
    for name, changed, labels, affine, loss in variants(volume, want, image.affine):
        value = mean_dice(program.run_array(np.asarray(changed, np.float32), affine)[0], labels)
        row(name, verdict(value, base - loss))
        figures["variants"][name] = value


# -------------------------------------------------------------------------------------------------- what is no head
def made_no_heads() -> dict[str, np.ndarray]:
    """Volumes of 1 mm that are no head."""
    made = {
        "all zero": np.zeros((120, 120, 120)),
        "all 7": np.full((120, 120, 120), 7.0),
        "noise": np.random.default_rng(0).normal(100, 20, (120, 120, 120)),
        "a ball": 100.0 * (np.linalg.norm(np.indices((160, 160, 160)) - 80, axis=0) < 70),
    }
    return {name: volume.astype(np.float32) for name, volume in made.items()}


def no_heads(program: Program, others: list[Path], figures: dict) -> None:
    head("What is no head", "study", "labeled ml", "warnings")
    figures["no_heads"] = {}
    results = {name: program.run_array(v, np.eye(4))[1] for name, v in made_no_heads().items()}
    results |= {path.name: program.run(path)[1] for path in others}
    for name, manifest in results.items():
        ml = sum(label["ml"] for label in manifest["labels"])
        row(name, f"{ml:.1f}", "; ".join(w["message"] for w in manifest["warnings"] if w["code"] != "faster-engine"))
        figures["no_heads"][name] = ml


def synthetic_head(program: Program, figures: dict) -> None:
    got, _ = program.run(HEAD)
    want = np.asarray(nib.load(HEAD.with_name("synthetic_head_seg.nii.gz")).dataobj).astype(np.int32)
    figures["synthetic_head"] = mean_dice(got, want)
    print(f"\nThe synthetic head of testdata: mean Dice of 31 {figures['synthetic_head']:.3f}")


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--program", default="unet-vol")
    ap.add_argument("--model", default="brain-mri", help="a bundled model or a described ONNX file")
    ap.add_argument("--scans", type=Path)
    ap.add_argument("--meshnets", type=Path)
    ap.add_argument("--data", type=Path, help="folder of map_NN.npy")
    ap.add_argument("--no-heads", type=Path, nargs="*", default=[], help="scans and DICOM folders without a brain")
    ap.add_argument("--figures", type=Path, help="write the figures that the tests hold the bundled model to")
    ap.add_argument("options", nargs="*", help="more options of unet-vol, after --")
    a = ap.parse_args()
    figures: dict = {}
    with tempfile.TemporaryDirectory() as folder:
        program = Program(a.program, a.model, a.options, Path(folder))
        synthetic_head(program, figures)
        if a.scans:
            image, want, base = oasis(program, a.scans, figures)
            contrasts(program, a.scans, figures)
            robustness(program, image, want, base, figures)
            whole_head(program, a.scans, a.meshnets, figures)
        if a.data:
            held_back(program, a.data, figures)
        no_heads(program, a.no_heads, figures)
    if a.figures:
        a.figures.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
