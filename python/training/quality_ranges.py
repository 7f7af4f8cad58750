"""The `[quality]` section of a model's description, from runs on good scans: volumes and scores that are usual.

    python quality_ranges.py --object brain --least-ml 150 --least-score 0.5 --manifests good/*.json --data data

Volumes are those of the runs and, with `--data`, of the training maps (20 people, the right answer), widened by a third;
the least score of a structure is the smallest of the runs times 0.8.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

WIDER = 4 / 3


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--object", required=True)
    ap.add_argument("--least-ml", type=float, required=True)
    ap.add_argument("--least-score", type=float, required=True)
    ap.add_argument("--manifests", type=Path, nargs="+", required=True)
    ap.add_argument("--data", type=Path, help="folder of map_NN.npy")
    ap.add_argument("--skip", type=int, nargs="*", default=[24], help="labels without a range")
    a = ap.parse_args()
    ml: dict[int, list[float]] = {}
    score: dict[int, list[float]] = {}
    for path in a.manifests:
        for label in json.loads(path.read_text())["labels"]:
            if label["confidence"]:
                ml.setdefault(label["id"], []).append(label["ml"])
                score.setdefault(label["id"], []).append(label["confidence"]["score"])
    if a.data:
        from generate import load_map
        from labels import CLASS_IDS, GEN_TO_CLASS

        for path in sorted(a.data.glob("map_*.npy")):
            gen = load_map(a.data, int(path.stem[4:]))
            count = np.bincount(CLASS_IDS[GEN_TO_CLASS[gen]].ravel(), minlength=64)
            for i in ml:
                ml[i].append(float(count[i]) / 1000)
    print(f'[quality]\nobject = "{a.object}"\nleast_ml = {a.least_ml}\nleast_score = {a.least_score}\nlabels = [')
    for i in sorted(set(ml) - set(a.skip)):
        low, high = min(ml[i]) / WIDER, max(ml[i]) * WIDER
        digits = 2 if high < 10 else 1
        print(f"  {{ id = {i}, ml = [{low:.{digits}f}, {high:.{digits}f}], score = {0.8 * min(score[i]):.2f} }},")
    print("]")


if __name__ == "__main__":
    main()
