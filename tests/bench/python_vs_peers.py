"""The Python package against SciPy, cc3d, surface-distance, nibabel and SimpleITK: seconds, and ours / theirs.

    python tests/bench/python_vs_peers.py [side]

Best of several runs in turns; peers get as many threads as they take. Below 1 is faster. Then what a call costs, and the memory
of `segment` from Python beside that of the command.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cc3d
import nibabel
import numpy as np
import SimpleITK as sitk
from scipy import ndimage

import unet_vol

HEAD = Path(__file__).parents[2] / "testdata" / "synthetic_head.nii.gz"
SEGMENT = f"import unet_vol, sys; unet_vol.segment({str(HEAD)!r}, engine='embedded').save(sys.argv[1])"


def row(name, ours, seconds=1.5, before=lambda: None, **peers):
    """One line: ours, the fastest peer, the ratio. The shortest of at least three runs each, which take turns; `before` each."""
    calls = {"ours": ours, **peers}

    def timed(call):
        before()
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    times = {who: [timed(call)] for who, call in calls.items()}
    # A peer that takes seconds is slower anyhow.
    quick = {who: call for who, call in calls.items() if who == "ours" or times[who][0] < 4 * seconds}
    rounds = 0
    while rounds < 3 or (rounds < 50 and sum(sum(times[who]) for who in quick) < seconds * len(quick)):
        rounds += 1
        for who, call in quick.items():
            times[who].append(timed(call))
    found = {who: min(list_[1:] or list_) for who, list_ in times.items()}
    mine = found.pop("ours")
    peer = min(found, key=found.get)
    print(f"{name:44} {mine * 1e3:9.2f} ms   {peer:16} {found[peer] * 1e3:9.2f} ms   {mine / found[peer]:6.2f}", flush=True)
    return {"name": name, "ours": mine, **found}


def stages(side):
    rng = np.random.default_rng(0)
    volume = np.asfortranarray(ndimage.gaussian_filter(rng.normal(size=(side,) * 3), 2.0).astype(np.float32))
    image = unet_vol.Image(volume, np.eye(4))
    target = side * 3 // 4
    zoom = target / side
    itk = image.to_sitk()
    like = sitk.Image([target] * 3, sitk.sitkFloat32)
    like.SetSpacing([1 / zoom] * 3)
    labels = np.asfortranarray(np.digitize(volume, np.quantile(volume, [0.6, 0.8, 0.9])).astype(np.uint8))
    a, b = labels > 0, np.roll(labels, 2, axis=0) > 0
    resample = unet_vol.resample
    yield row(
        f"resample linear {side}^3 to {target}^3",
        lambda: resample(image, shape=(target,) * 3),
        scipy=lambda: ndimage.zoom(volume, zoom, order=1),
        SimpleITK=lambda: sitk.Resample(itk, like, sitk.Transform(), sitk.sitkLinear),
    )
    yield row(
        f"resample cubic {side}^3 to {target}^3",
        lambda: resample(image, shape=(target,) * 3, method="cubic"),
        scipy=lambda: ndimage.zoom(volume, zoom, order=3),
        SimpleITK=lambda: sitk.Resample(itk, like, sitk.Transform(), sitk.sitkBSpline),
    )
    yield row(
        f"connected_components {side}^3, 26",
        lambda: unet_vol.connected_components(labels, 26),
        cc3d=lambda: cc3d.connected_components(labels, connectivity=26),
    )
    yield row(
        f"fill_holes {side}^3",
        lambda: unet_vol.fill_holes(a),
        scipy=lambda: ndimage.binary_fill_holes(a),
    )
    yield row(
        f"dice {side}^3",
        lambda: unet_vol.dice(a, b),
        numpy=lambda: 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)),
    )
    try:
        import surface_distance
    except ImportError:
        return
    index = np.indices((side // 2,) * 3) - side // 4
    p = (index**2).sum(axis=0) < (side // 6) ** 2
    q = np.roll(p, 3, axis=1)
    spacing = (1.0, 1.0, 1.5)

    def theirs():
        found = surface_distance.compute_surface_distances(p, q, spacing)
        return surface_distance.compute_robust_hausdorff(found, 95)

    yield row(f"hd95 {side // 2}^3", lambda: unet_vol.hd95(p, q, spacing), surface_distance=theirs)


def files(side, folder):
    rng = np.random.default_rng(0)
    volume = np.asfortranarray(rng.integers(0, 1000, (side,) * 3).astype(np.float32))
    image = unet_vol.Image(volume, np.eye(4))
    theirs, itk = image.to_nibabel(), image.to_sitk()
    for suffix in (".nii", ".nii.gz"):
        path = folder / f"x{suffix}"
        yield row(
            f"write {side}^3 float32 {suffix}",
            lambda: unet_vol.write(path, image),
            before=lambda: path.unlink(missing_ok=True),
            nibabel=lambda: nibabel.save(theirs, path),
            SimpleITK=lambda: sitk.WriteImage(itk, path),
        )
        # Ours appears in one step under its name, which a file system may answer by bringing it to the disk.
        yield row(
            f"write {side}^3 float32 {suffix} over a file",
            lambda: unet_vol.write(path, image, overwrite=True),
            nibabel=lambda: nibabel.save(theirs, path),
            SimpleITK=lambda: sitk.WriteImage(itk, path),
        )
        yield row(
            f"write {side}^3 float32 {suffix}, on the disk",
            lambda: (unet_vol.write(path, image), on_disk(path)),
            before=lambda: path.unlink(missing_ok=True),
            nibabel=lambda: (nibabel.save(theirs, path), on_disk(path)),
            SimpleITK=lambda: (sitk.WriteImage(itk, path), on_disk(path)),
        )
        yield row(
            f"read {side}^3 float32 {suffix}",
            lambda: unet_vol.read(path),
            # In memory, as ours is: nibabel would map a plain file and read nothing before it is asked for.
            nibabel=lambda: np.asarray(nibabel.load(path, mmap=False).dataobj, dtype=np.float32),
            SimpleITK=lambda: sitk.GetArrayFromImage(sitk.ReadImage(path)),
        )
    blocks = np.kron(rng.integers(0, 33, (side // 16,) * 3), np.ones((16, 16, 16), np.uint8)).astype(np.uint8)
    path = folder / "labels.nii.gz"
    unet_vol.write(path, unet_vol.Image(blocks, np.eye(4), table=()))
    yield row(
        f"read_labels {side}^3 .nii.gz",
        lambda: unet_vol.read_labels(path),
        nibabel=lambda: np.asarray(nibabel.load(path, mmap=False).dataobj),
        SimpleITK=lambda: sitk.GetArrayFromImage(sitk.ReadImage(path)),
    )


def on_disk(path):
    """Waits until a file is on the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def overhead():
    """Microseconds of a call on next to nothing."""
    tiny = np.zeros((2, 2, 2), np.uint8)
    ramp = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    image = unet_vol.Image(tiny, np.eye(4))
    calls = {
        "dice": lambda: unet_vol.dice(tiny, tiny),
        "connected_components": lambda: unet_vol.connected_components(tiny),
        "reorient": lambda: unet_vol.reorient(image, "RAS"),
        "resample": lambda: unet_vol.resample(image, shape=(2, 2, 2)),
        "normalize": lambda: unet_vol.normalize(ramp, "min-max"),
    }
    found = {}
    for name, call in calls.items():
        times = []
        for _ in range(2000):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        found[name] = float(np.median(times) * 1e6)
        print(f"call of {name:36} {found[name]:9.1f} us", flush=True)
    return found


def peak(command):
    """Peak resident MiB of a command."""
    script = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def memory(folder):
    out = str(folder / "segmented.nii.gz")
    python = peak([sys.executable, "-c", SEGMENT, out])
    Path(out).unlink()
    command = [sys.executable, "-m", "unet_vol", "segment", str(HEAD), "-o", out, "-q", "--engine", "embedded"]
    program = peak(command)
    print(f"peak of segment: from Python {python:.0f} MiB, the command {program:.0f} MiB")
    return {"python": python, "command": program}


def main():
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    with tempfile.TemporaryDirectory() as folder:
        rows = [*stages(side), *files(side, Path(folder))]
        record = {"rows": rows, "overhead_us": overhead(), "memory_mib": memory(Path(folder))}
    record["python_peak_kib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps(record))


if __name__ == "__main__":
    main()
