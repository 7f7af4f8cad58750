"""Components, filters, statistics and distances beside cc3d, SciPy and surface-distance, on the same volumes.

Runs the bench program `components`, then the peers that can be imported, and prints seconds and ratios (above 1: we
take less time). Everything runs on one thread; the best of a few runs counts, and a loaded machine blurs it. Peers paint
labels as u32; of ours only the steps called `painted` do.
Needs numpy and any of: connected-components-3d, scipy, fill_voids, surface-distance, MedPy, MONAI with torch.
"""

import argparse
import importlib
import json
import pathlib
import subprocess
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHAPE, SPACING = (256, 256, 256), (1.0, 1.0, 2.5)


def module(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def best(work, repetitions=5, least_seconds=0.5):
    """As our bench: at least so often and so long, the best counts."""
    begin, seconds = time.perf_counter(), []
    while len(seconds) < repetitions or time.perf_counter() - begin < least_seconds:
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def boxes(a, b):
    """Both masks of each label, cut to the box that holds them, with a margin: MedPy and MONAI do not cut themselves."""
    for label in range(1, 33):
        pair = a == label, b == label
        box = []
        for axis in range(3):
            others = tuple({0, 1, 2} - {axis})
            occupied = np.flatnonzero((pair[0] | pair[1]).any(others))
            box.append(slice(max(occupied[0] - 1, 0), occupied[-1] + 2))
        yield tuple(np.ascontiguousarray(mask[tuple(box)]) for mask in pair)


def peers(volumes):
    """Pairs of our step's name and a peer's name with its work."""
    structures, specks, noise = volumes["structures"], volumes["specks"], volumes["random"]
    black = np.zeros(SHAPE, np.uint8, order="F")
    if cc3d := module("cc3d"):
        for name, volume, conn in [
            ("painted u32 structures 26", structures, 26),
            ("components structures 26", structures, 26),
            ("components structures 6", structures, 6),
            ("components specks 26", specks, 26),
            ("components random 26", noise, 26),
            ("components random 6", noise, 6),
            ("components black 26", black, 26),
        ]:
            yield name, "cc3d", lambda v=volume, c=conn: cc3d.connected_components(v, connectivity=c, out_dtype=np.uint32)
        labels = cc3d.connected_components(specks, connectivity=26)
        yield "table specks", "cc3d", lambda: cc3d.statistics(labels)
        yield "statistics structures", "cc3d", lambda: cc3d.statistics(structures)
        yield "largest specks 26", "cc3d", lambda: cc3d.largest_k(specks, k=1, connectivity=26)
    if ndimage := module("scipy.ndimage"):
        around = ndimage.generate_binary_structure(3, 3)
        yield "components specks 26", "scipy", lambda: ndimage.label(specks.T, around)
        yield "fill specks", "scipy", lambda: ndimage.binary_fill_holes(specks)
    if fill_voids := module("fill_voids"):
        yield "fill specks", "fill_voids", lambda: fill_voids.fill(specks.astype(bool))
    if surface := module("surface_distance"):

        def scores():
            for label in range(1, 33):
                a, b = structures == label, volumes["shifted"] == label
                found = surface.compute_surface_distances(a, b, SPACING)
                surface.compute_surface_dice_at_tolerance(found, 1.0)
                surface.compute_robust_hausdorff(found, 95)
                surface.compute_dice_coefficient(a, b)

        yield "evaluate structures", "surface-distance", scores
    shifted = volumes["shifted"]
    if medpy := module("medpy.metric.binary"):

        def medpy_scores():
            for a, b in boxes(structures, shifted):
                medpy.hd95(a, b, SPACING)
                medpy.assd(a, b, SPACING)
                medpy.dc(a, b)

        yield "evaluate structures", "MedPy", medpy_scores
    if (metrics := module("monai.metrics")) and (torch := module("torch")):

        def monai_scores():
            for pair in boxes(structures, shifted):
                a, b = (torch.from_numpy(mask)[None, None] for mask in pair)
                metrics.compute_hausdorff_distance(a, b, True, percentile=95, spacing=SPACING)
                metrics.compute_average_surface_distance(a, b, True, symmetric=True, spacing=SPACING)
                metrics.compute_surface_dice(a, b, [1.0], True, spacing=SPACING)

        yield "evaluate structures", "MONAI", monai_scores


def measure(program, rounds):
    """Best seconds of our steps, and of each step's peers, in turn."""
    ours, theirs = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            command = [program, "--bench", "--write", folder]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            ours = {name: min(seconds, ours.get(name, seconds)) for name, seconds in found.items()}
            volumes = {
                path.stem: np.fromfile(path, np.uint8).reshape(SHAPE, order="F") for path in pathlib.Path(folder).glob("*.u8")
            }
            for name, peer, work in peers(volumes):
                seconds = best(work, *((1, 0) if name.startswith("evaluate") else ()))
                step = theirs.setdefault(name, {})
                step[peer] = min(seconds, step.get(peer, seconds))
    return {"ours": ours, "peers": theirs}


def build():
    """Path of the bench program."""
    command = ["cargo", "build", "--release", "--bench", "components", "--message-format=json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout.splitlines()
    found = [m["executable"] for m in map(json.loads, lines) if m.get("executable") and m["target"]["name"] == "components"]
    return found[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", help="the bench program, where it is built already")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print a JSON object instead of a table")
    arguments = parser.parse_args()
    found = measure(arguments.program or build(), arguments.rounds)
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"{'step':34} {'ours s':>9} {'peer':>17} {'peer s':>9} {'ratio':>7}")
    for name, ours in found["ours"].items():
        print(f"{name:34} {ours:9.4f}")
        for peer, seconds in found["peers"].get(name, {}).items():
            print(f"{'':44} {peer:>17} {seconds:9.4f} {seconds / ours:7.2f}")


if __name__ == "__main__":
    main()
