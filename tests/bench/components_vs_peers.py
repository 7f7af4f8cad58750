"""Components, filters, statistics and distances beside cc3d, SciPy and surface-distance, on the same volumes.

Runs `cargo bench --bench components`, then the peers that can be imported, and prints seconds and ratios (above 1: we
take less time). Everything runs on one thread; the best of a few runs counts, and a loaded machine blurs it. Peers paint
labels as u32; of ours only the steps called `painted` do.
Needs numpy and any of: connected-components-3d, scipy, edt, fill_voids, surface-distance.
"""

import importlib
import json
import pathlib
import subprocess
import sys
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


def main():
    with tempfile.TemporaryDirectory() as folder:
        command = ["cargo", "bench", "--bench", "components", *sys.argv[1:], "--", "--write", folder]
        ours = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
        volumes = {
            path.stem: np.fromfile(path, np.uint8).reshape(SHAPE, order="F") for path in pathlib.Path(folder).glob("*.u8")
        }
        print(f"{'step':34} {'ours s':>9} {'peer':>17} {'peer s':>9} {'ratio':>7}")
        seen = set()
        for name, peer, work in peers(volumes):
            seconds = best(work, 1 if peer == "surface-distance" else 5)
            print(f"{name:34} {ours[name]:9.4f} {peer:>17} {seconds:9.4f} {seconds / ours[name]:7.2f}", flush=True)
            seen.add(name)
        for name in sorted(ours.keys() - seen):
            print(f"{name:34} {ours[name]:9.4f}")


if __name__ == "__main__":
    main()
