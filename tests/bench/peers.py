"""One stage by one peer, timed in a process of its own: the counterpart of stages.rs.

    python tests/bench/peers.py STAGE PEER FOLDER [--threads N] [--ours FILE]

Prints one line of JSON: the best wall and processor seconds of at least two runs and one second, and how far the result is from
`--ours`: the largest difference over the range, or the share of voxels with another label. A peer that is not installed: exit code 77.
"""

import argparse
import importlib
import json
import sys
import time
from pathlib import Path

import numpy as np

LEAST_RUNS, LEAST_SECONDS = 2, 1.0
NOT_INSTALLED = 77
# Rows of the oblique map from target to source voxels, in the order i, j, k; stages.rs has the same.
OBLIQUE = np.array([[1.15, 0.08, -0.05, 12.0], [-0.07, 1.15, 0.04, 16.0], [0.06, -0.03, 1.15, 8.0]])
SIDE, SMALLER = 256, 192
STAGES = {}


def of(peer, *stages):
    """Registers how `peer` does some stages: called with the arguments, it returns the work. Arrays are [k, j, i]."""

    def register(make):
        for name in stages:
            STAGES.setdefault(name, {})[peer] = make
        return make

    return register


def torch_with(threads):
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    return torch


def sitk_with(threads):
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    return SimpleITK


def head(a):
    return np.fromfile(a.folder / "t1.f32", "<f4").reshape((SIDE,) * 3)


def scores(a):
    return np.fromfile(a.folder / "scores.f32", "<f4").reshape(33, 96, 112, 96)


# Reading and writing


def nibabel_work(a):
    import nibabel

    if a.stage == "read":
        return lambda: nibabel.load(a.folder / "t1.nii.gz").get_fdata(dtype=np.float32).T
    if a.stage == "read-labels":
        return lambda: np.asarray(nibabel.load(a.folder / "labels.nii.gz").dataobj).T
    image = nibabel.load(a.folder / "labels.nii.gz")
    labels = np.asarray(image.dataobj)
    return lambda: nibabel.save(nibabel.Nifti1Image(labels, image.affine, image.header), a.written)


@of("nibabel", "read", "read-labels", "write-labels")
def plain_gzip(a):
    from nibabel import _compression

    _compression.HAVE_INDEXED_GZIP = False
    return nibabel_work(a)


@of("nibabel + indexed_gzip", "read", "read-labels")
def with_indexed_gzip(a):
    importlib.import_module("indexed_gzip")  # nibabel takes it where it is installed
    return nibabel_work(a)


@of("SimpleITK", "read", "read-labels", "write-labels")
def itk_files(a):
    sitk = sitk_with(a.threads)
    if a.stage == "read":
        return lambda: sitk.ReadImage(a.folder / "t1.nii.gz", sitk.sitkFloat32)
    if a.stage == "read-labels":
        return lambda: sitk.ReadImage(a.folder / "labels.nii.gz")
    labels = sitk.ReadImage(a.folder / "labels.nii.gz")
    return lambda: sitk.WriteImage(labels, a.written, useCompression=True)


@of("highdicom", "write-seg")
def highdicom_segmentation(a):
    import highdicom as hd
    import nibabel
    import pydicom

    images = [pydicom.dcmread(path) for path in sorted((a.folder / "series").iterdir())]
    labels = np.asarray(nibabel.load(a.folder / "labels.nii.gz").dataobj).T
    ids, labels = np.unique(labels, return_inverse=True)
    labels = labels.reshape((SIDE,) * 3).astype(np.uint8)
    term = pydicom.sr.codedict.codes.SCT.AnatomicalStructure
    algorithm = hd.AlgorithmIdentificationSequence("made", pydicom.sr.codedict.codes.DCM.ArtificialIntelligence, "1")
    describe = lambda n: hd.seg.SegmentDescription(n, f"label {ids[n]}", term, term, "AUTOMATIC", algorithm)
    segments = [describe(n) for n in range(1, len(ids))]
    a.written = a.folder / "highdicom_seg.dcm"

    def work():
        identity = {"series_number": 2, "instance_number": 1, "manufacturer": "made", "device_serial_number": "1"}
        identity |= {"manufacturer_model_name": "made", "software_versions": "1"}
        uids = {"series_instance_uid": hd.UID(), "sop_instance_uid": hd.UID()}
        hd.seg.Segmentation(images, labels, "BINARY", segments, **uids, **identity).save_as(a.written)

    return work


# Resampling


@of("scipy", "linear", "oblique", "cubic")
def scipy_resample(a):
    from scipy import ndimage

    volume = head(a)
    if a.stage == "oblique":
        matrix = OBLIQUE[::-1, [2, 1, 0, 3]]
        return lambda: ndimage.affine_transform(volume, matrix[:, :3], matrix[:, 3], (SMALLER,) * 3, order=1)
    order, mode = (1, "nearest") if a.stage == "linear" else (3, "mirror")
    return lambda: ndimage.zoom(volume, SMALLER / SIDE, order=order, mode=mode, grid_mode=True)


@of("SimpleITK", "linear", "oblique", "cubic")
def itk_resample(a):
    sitk = sitk_with(a.threads)
    image = sitk.GetImageFromArray(head(a))
    matrix = OBLIQUE if a.stage == "oblique" else half_pixel()
    transform = sitk.AffineTransform(matrix[:, :3].ravel().tolist(), matrix[:, 3].tolist())
    kind = sitk.sitkBSpline3 if a.stage == "cubic" else sitk.sitkLinear
    grid = [SMALLER] * 3, transform, kind, [0.0] * 3, [1.0] * 3, np.eye(3).ravel().tolist()
    return lambda: sitk.Resample(image, *grid)


def half_pixel():
    factor = SIDE / SMALLER
    return np.hstack([np.eye(3) * factor, np.full((3, 1), (factor - 1) / 2)])


@of("torch", "linear", "oblique")
def torch_resample(a):
    torch = torch_with(a.threads)
    volume = torch.from_numpy(head(a))[None, None]
    if a.stage == "linear":
        return lambda: torch.nn.functional.interpolate(volume, (SMALLER,) * 3, mode="trilinear").numpy()[0, 0]
    # Voxels to -1..1 between the first and the last centre, on both sides.
    to_unit = 2 / (SIDE - 1) * OBLIQUE[:, :3] * (SMALLER - 1) / 2
    offset = 2 / (SIDE - 1) * (OBLIQUE[:, :3] @ np.full(3, (SMALLER - 1) / 2) + OBLIQUE[:, 3]) - 1
    theta = torch.tensor(np.column_stack([to_unit, offset]), dtype=torch.float32)[None]
    grid = torch.nn.functional.affine_grid(theta, (1, 1, *(SMALLER,) * 3), align_corners=True)
    return lambda: torch.nn.functional.grid_sample(volume, grid, align_corners=True).numpy()[0, 0]


# Labels from scores


@of("scipy", "decide")
def scipy_decide(a):
    from scipy import ndimage

    classes = scores(a)

    def work():
        best = ndimage.zoom(classes[0], 2, order=1, mode="nearest", grid_mode=True)
        labels = np.zeros(best.shape, np.uint8)
        for n, one in enumerate(classes[1:], 1):
            one = ndimage.zoom(one, 2, order=1, mode="nearest", grid_mode=True)
            better = one > best
            labels[better] = n
            np.maximum(best, one, out=best)
        return labels

    return work


@of("torch", "decide")
def torch_decide(a):
    torch = torch_with(a.threads)
    classes = torch.from_numpy(scores(a))[None]
    upsample = torch.nn.Upsample(scale_factor=2, mode="trilinear")
    return lambda: upsample(classes).argmax(1).numpy()[0]


# Networks


def random_input(a):
    return np.fromfile(a.input, "<f4").reshape(a.shape)


@of("onnxruntime", "network")
def onnxruntime_network(a):
    from engine_vs_peers import onnxruntime_session

    run, x = onnxruntime_session(a.model, a.threads), random_input(a)
    return lambda: run(x)


@of("openvino", "network")
def openvino_network(a):
    from engine_vs_peers import openvino_session

    run, x = openvino_session(a.model, a.shape, a.threads, a.precision), random_input(a)
    return lambda: run(x)


@of("torch", "network")
def torch_network(a):
    torch = torch_with(a.threads)
    from onnx_torch import OnnxNetwork

    net, x = OnnxNetwork(a.model).eval(), torch.from_numpy(random_input(a))
    return lambda: net(x).numpy()


# What the machine can do


def sgemm(multiply):
    x, n = np.ones((2048, 2048), np.float32), 2048
    multiply(x)
    return {"gflops_per_core": 2e-9 * n**3 / min(seconds(lambda: multiply(x))[1] for _ in range(9))}


@of("numpy", "sgemm")
def numpy_sgemm(a):
    return lambda: sgemm(lambda x: x @ x)


@of("torch", "sgemm")
def torch_sgemm(a):
    torch = torch_with(a.threads)
    return lambda: sgemm(lambda x: torch.from_numpy(x) @ torch.from_numpy(x))


def seconds(work):
    start = time.perf_counter(), time.process_time()
    out = work()
    return time.perf_counter() - start[0], time.process_time() - start[1], out


def apart(result, path):
    """How far `result` is from ours."""
    if not isinstance(result, np.ndarray):
        result = sitk_with(1).GetArrayViewFromImage(result)
    if result.dtype.kind == "f":
        ours = np.fromfile(path, "<f4").reshape(result.shape)
        return float(np.abs(ours - result).max() / np.ptp(result))
    return float((np.fromfile(path, "<u2").reshape(result.shape) != result).mean())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("peer")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ours")
    parser.add_argument("--model")
    parser.add_argument("--input")
    parser.add_argument("--shape", type=lambda text: [int(n) for n in text.split(",")])
    parser.add_argument("--precision", default="f32")
    a = parser.parse_args()
    a.written = a.folder / f"{a.peer}_labels.nii.gz"
    try:
        work = STAGES[a.stage][a.peer](a)
    except ImportError as error:
        print(error, file=sys.stderr)
        sys.exit(NOT_INSTALLED)
    begin, runs = time.perf_counter(), []
    while len(runs) < LEAST_RUNS or time.perf_counter() - begin < LEAST_SECONDS:
        wall, cpu, out = seconds(work)
        runs.append((wall, cpu))
    record = {"wall": min(r[0] for r in runs), "cpu": min(r[1] for r in runs)}
    if isinstance(out, dict):
        record |= out
    elif a.stage.startswith("write-"):
        record["bytes"] = a.written.stat().st_size
    elif a.ours:
        record["apart"] = apart(out, a.ours)
    print(json.dumps(record))


if __name__ == "__main__":
    main()
