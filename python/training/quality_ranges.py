"""Measures the `[quality]` section of the brain model's description: volumes and scores that are usual, and what is no brain.

    python quality_ranges.py --program unet-vol --model plain.onnx --spec brain-mri.toml --scans brain/ --data data \\
        --no-heads ct_abdomen_slab.nii.gz --out new.toml

Good scans are T1 and FLAIR of whole heads, stripped or not, and the synthetic head. Volumes are theirs and, with `--data`, those of
the training maps (20 people, the right answer), widened by a third; the least score of a structure is the smallest of the
good scans times 0.8. The least score of a brain lies a third of the way from the best of what is none to the worst brain
of any contrast or slab, as taking labels back from a brain is the worse mistake.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import tomllib
from pathlib import Path

import numpy as np

from evaluate_program import HEAD, Program, made_no_heads
from generate import load_map
from labels import CLASS_IDS, GEN_TO_CLASS

OBJECT, LEAST_ML = "brain", 20.0
GOOD = ("oasis_t1", "t1_crop", "t1_neck_oblique", "ms_raw_t1", "ms_raw_flair")
OTHERS = ("ms19_t1", "ms19_t1gd", "ms19_t2", "ms19_flair")
WIDER = 4 / 3
SKIP = 24
"""CSF, which has no range."""
SECTION = re.compile(r"^\[quality\]\n.*?^\]\n", re.MULTILINE | re.DOTALL)


def found(manifest: dict) -> dict[int, tuple[float, float]]:
    """(ml, score) of each label that occurs."""
    return {x["id"]: (x["ml"], x["confidence"]["score"]) for x in manifest["labels"] if x["confidence"]}


def whole(labels: dict[int, tuple[float, float]], ids: list[int]) -> tuple[float, float]:
    """(ml, mean score weighted by volume) of the labels in `ids`, as the program judges them."""
    parts = [labels[i] for i in ids if i in labels]
    ml = sum(ml for ml, _ in parts)
    return ml, sum(ml * score for ml, score in parts) / ml if ml else 0.0


def section(good: list[dict], maps: dict[int, list[float]], least_score: float) -> str:
    lines = [f'[quality]\nobject = "{OBJECT}"\nleast_ml = {LEAST_ML}\nleast_score = {least_score:.2f}\nlabels = [']
    for i in sorted(set().union(*good) - {SKIP}):
        ml = [labels[i][0] for labels in good if i in labels] + maps.get(i, [])
        score = 0.8 * min(labels[i][1] for labels in good if i in labels)
        low, high = min(ml) / WIDER, max(ml) * WIDER
        digits = 2 if high < 10 else 1
        lines.append(f"  {{ id = {i}, ml = [{low:.{digits}f}, {high:.{digits}f}], score = {score:.2f} }},")
    return "\n".join(lines) + "\n]\n"


def map_volumes(data: Path) -> dict[int, list[float]]:
    """ml of each structure in each training map."""
    ml: dict[int, list[float]] = {int(i): [] for i in CLASS_IDS[1:]}
    for path in sorted(data.glob("map_*.npy")):
        gen = load_map(data, int(path.stem[4:]))
        count = np.bincount(CLASS_IDS[GEN_TO_CLASS[gen]].ravel(), minlength=64)
        for i in ml:
            ml[i].append(float(count[i]) / 1000)
    return ml


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--program", default="unet-vol")
    ap.add_argument("--model", type=Path, required=True, help="ONNX file")
    ap.add_argument("--spec", type=Path, required=True, help="its description, whose [quality] is replaced")
    ap.add_argument("--out", type=Path, required=True, help="the new description")
    ap.add_argument("--scans", type=Path, required=True)
    ap.add_argument("--no-heads", type=Path, nargs="*", default=[], help="scans and DICOM folders without a brain")
    ap.add_argument("--data", type=Path, help="folder of map_NN.npy")
    a = ap.parse_args()
    text = a.spec.read_text()
    if len(SECTION.findall(text)) != 1:
        ap.error(f"{a.spec} has no single [quality] section that ends in a line ]")
    ids = next(v["ids"] for v in tomllib.loads(text)["volumes"] if v["name"] == OBJECT)
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.toml"
        bare.write_text(SECTION.sub("", text))
        program = Program(a.program, str(a.model), ["--spec", str(bare)], Path(folder))

        def score(name: str, labels: dict) -> float:
            ml, value = whole(labels, ids)
            print(f"{name}: {ml:.0f} ml, score {value:.3f}", flush=True)
            return value if ml >= LEAST_ML else 0.0

        scans = {name: a.scans / f"{name}.nii.gz" for name in GOOD + OTHERS} | {"synthetic head": HEAD}
        runs = {name: found(program.run(path)[1]) for name, path in scans.items()}
        brains = [score(name, labels) for name, labels in runs.items()]
        affine = np.eye(4)
        none = [score(name, found(program.run_array(v, affine)[1])) for name, v in made_no_heads().items()]
        none += [score(path.name, found(program.run(path)[1])) for path in a.no_heads]
    worst, best = min(brains), max(none)
    if worst <= best:
        raise SystemExit(f"a brain has a score of {worst:.3f}, what is none {best:.3f}: no score tells them apart")
    good = [labels for name, labels in runs.items() if name not in OTHERS]
    new = section(good, map_volumes(a.data) if a.data else {}, best + (worst - best) / 3)
    a.out.write_text(SECTION.sub(lambda _: new, text))
    print(f"what is no brain up to {best:.3f}, brains from {worst:.3f} on\n{new}")


if __name__ == "__main__":
    main()
