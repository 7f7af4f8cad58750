"""Dice of a model (state.pt or .onnx) on a scan with a reference, or on synthesised heads of held-back maps.

    python evaluate.py --model run/state.pt --image t1.nii.gz --seg aseg.nii.gz --png overlay.png --json result.json
    python evaluate.py --model run/state.pt --maps 19,20 --data data

`to_grid` and `from_grid` are the reference for what an inference program has to do around the network.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from generate import deform, draw_intensities, load_map, synthesise
from labels import CLASS_IDS, COLOURS, FLIP_CLASS, TISSUE
from network import FACTOR
from weights import load

SPACING = 2.0
"""mm between the voxels of the network's grid."""
Predict = Callable[[np.ndarray], np.ndarray]
"""Image [X, Y, Z] float32 0..1 on the 2 mm grid -> logits [33, X, Y, Z]."""
UNCOMPARABLE = {24}
"""CSF is all subarachnoid CSF in the training maps, a few voxels in FreeSurfer's aseg: never scored against it."""
TINY = {5, 44, 26, 58}
"""Inferior lateral ventricles and accumbens: a few hundred voxels, unsure in FreeSurfer itself."""


# ------------------------------------------------------------------------------------------------ grid and intensities
def axis_weights(n_in: int, spacing: float, n_out: int) -> tuple[np.ndarray, np.ndarray]:
    """Resampling matrix [n_out, n_in] of one axis from `spacing` mm to 2 mm, both centred on the same point, and which
    outputs lie in the field of view [n_out]. Below 2 mm the share of the output cell that each input cell covers (what
    the training images are made by), else linear interpolation; rows sum to 1, or to 0 outside the field of view."""
    p_in = (np.arange(n_in) - (n_in - 1) / 2) * spacing
    p_out = (np.arange(n_out) - (n_out - 1) / 2) * SPACING
    if spacing < SPACING:
        hi = np.minimum(p_out[:, None] + SPACING / 2, p_in[None, :] + spacing / 2)
        lo = np.maximum(p_out[:, None] - SPACING / 2, p_in[None, :] - spacing / 2)
        w = hi - lo
    else:
        w = 1 - np.abs(p_out[:, None] - p_in[None, :]) / spacing
    w = np.maximum(0, w)
    inside = np.abs(p_out) <= n_in * spacing / 2
    w = w / np.maximum(w.sum(1, keepdims=True), 1e-9)
    return (w * inside[:, None]).astype(np.float32), inside


def grid_shape(shape: tuple[int, ...], spacing: list[float]) -> list[int]:
    return [int(np.ceil(n * s / SPACING / FACTOR - 1e-6)) * FACTOR for n, s in zip(shape, spacing)]


def resample(volume: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
    x = volume.astype(np.float32)
    for ax, w in enumerate(weights):
        x = np.moveaxis(np.tensordot(w, x, axes=(1, ax)), 0, ax)
    return x


def to_grid(volume: np.ndarray, spacing: list[float]) -> np.ndarray:
    """RAS scan [X, Y, Z] -> the network's input: 2 mm, multiples of 16, rescaled by its in-field percentiles 0.5 and
    99.5 to 0..1, zero outside the field of view."""
    n_out = grid_shape(volume.shape, spacing)
    axes = [axis_weights(n, s, m) for n, s, m in zip(volume.shape, spacing, n_out)]
    x = resample(volume, [w for w, _ in axes])
    inside = axes[0][1][:, None, None] & axes[1][1][None, :, None] & axes[2][1][None, None, :]
    v = np.sort(x[inside])
    lo, hi = v[int(0.005 * (len(v) - 1))], v[int(0.995 * (len(v) - 1))]
    return np.ascontiguousarray(np.clip((x - lo) / max(hi - lo, 1e-6), 0, 1) * inside, np.float32)


def from_grid(logits: np.ndarray, shape: tuple[int, ...], spacing: list[float]) -> np.ndarray:
    """Logits [33, X, Y, Z] at 2 mm -> ids int16 of `shape` on the scan's grid: trilinear in the logits, then argmax."""
    n = logits.shape[1:]
    index, frac = [], []
    for ax in range(3):
        p = (np.arange(shape[ax]) - (shape[ax] - 1) / 2) * spacing[ax] / SPACING + (n[ax] - 1) / 2
        i = np.clip(np.floor(p).astype(int), 0, n[ax] - 2)
        index.append(i)
        frac.append(torch.from_numpy(np.clip(p - i, 0, 1).astype(np.float32)))
    z = torch.from_numpy(np.ascontiguousarray(logits))
    ix, iy, iz = index
    out = np.zeros(shape, np.uint8)
    for k in range(shape[0]):
        s = torch.lerp(z[:, ix[k]], z[:, ix[k] + 1], frac[0][k])
        s = torch.lerp(s[:, iy], s[:, iy + 1], frac[1][None, :, None])
        s = torch.lerp(s[:, :, iz], s[:, :, iz + 1], frac[2][None, None, :])
        out[k] = s.argmax(0).numpy()
    return CLASS_IDS[out].astype(np.int16)


# -------------------------------------------------------------------------------------------------------------- models
def predictor(path: Path, threads: int = 2, averaged: bool = True, mirror: bool = False) -> Predict:
    """The model of a file; with `mirror` the mean of the logits of the image and of its mirror image."""
    if path.suffix == ".onnx":
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])

        def run(x: np.ndarray) -> np.ndarray:
            return session.run(None, {"image": np.ascontiguousarray(x)[None, None]})[0][0]
    else:
        net = load(path, averaged).eval().to(memory_format=torch.channels_last_3d)

        def run(x: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return net(torch.from_numpy(np.ascontiguousarray(x))[None, None])[0].contiguous().numpy()

    if not mirror:
        return run
    return lambda x: 0.5 * (run(x) + run(x[::-1])[FLIP_CLASS, ::-1])


# -------------------------------------------------------------------------------------------------------------- scores
def freesurfer_to_ids(aseg: np.ndarray) -> np.ndarray:
    """FreeSurfer's labels -> the ids of the model, as the training maps have them: choroid plexus counts as ventricle,
    corpus callosum and hypo-intensities as the nearest white matter, everything unknown as background."""
    from scipy.ndimage import distance_transform_edt

    out = np.where(np.isin(aseg, CLASS_IDS), aseg, 0).astype(np.int32)
    out[aseg == 31], out[aseg == 63] = 4, 43
    todo = np.isin(aseg, [251, 252, 253, 254, 255, 77, 80])
    if todo.any():
        nearest = distance_transform_edt(~np.isin(aseg, [2, 41]), return_distances=False, return_indices=True)
        out[todo] = aseg[tuple(k[todo] for k in nearest)]
    return out


def dice(got: np.ndarray, want: np.ndarray) -> dict[int, float]:
    """id -> Dice, of the ids that occur in `want`; background left out."""
    n_got = np.bincount(got.ravel(), minlength=64)
    n_want = np.bincount(want.ravel(), minlength=64)
    both = np.bincount(want.ravel()[got.ravel() == want.ravel()], minlength=64)
    return {int(i): float(2 * both[i] / (n_got[i] + n_want[i])) for i in CLASS_IDS[1:] if n_want[i]}


def means(scores: dict[int, float], skip: set[int]) -> dict[str, float]:
    """Mean over all structures but `skip`, the same without the tiny ones, and the smallest."""
    v = {i: d for i, d in scores.items() if i not in skip}
    big = [d for i, d in v.items() if i not in TINY]
    return dict(
        n=len(v), mean=float(np.mean(list(v.values()))), mean_without_tiny=float(np.mean(big)), min=min(v.values())
    )


def reference_on_grid(ids: np.ndarray, spacing: list[float]) -> np.ndarray:
    """Ids on the scan's grid -> on the 2 mm grid, the id of the largest share under the filter of the image."""
    n_out = grid_shape(ids.shape, spacing)
    weights = [axis_weights(n, s, m)[0] for n, s, m in zip(ids.shape, spacing, n_out)]
    best, out = np.full(n_out, -1, np.float32), np.zeros(n_out, np.int32)
    for i in np.unique(ids):
        share = resample(ids == i, weights)
        better = share > best
        best[better], out[better] = share[better], i
    return out


def overlay(volume: np.ndarray, ids: np.ndarray, file: Path, title: str) -> None:
    """Five slices without and with the labels."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    lut = np.zeros((256, 3))
    lut[CLASS_IDS] = np.array(COLOURS) / 255
    where = np.argwhere((ids > 0) & (ids != 24))
    c = where.mean(0) if len(where) else np.array(ids.shape) / 2
    n = np.array(ids.shape)
    views = [(2, c[2]), (2, c[2] - 0.12 * n[2]), (1, c[1]), (1, c[1] - 0.12 * n[1]), (0, c[0] + 0.1 * n[0])]
    figure, axes = plt.subplots(2, len(views), figsize=(20, 8.5))
    top = np.percentile(volume, 99.5)
    for k, (ax, p) in enumerate(views):
        i = int(np.clip(p, 0, n[ax] - 1))
        grey = np.clip(np.rot90(np.take(volume, i, ax)) / top, 0, 1)
        label = np.rot90(np.take(ids, i, ax))
        rgb = np.repeat(grey[..., None], 3, 2)
        rgb[label > 0] = 0.45 * rgb[label > 0] + 0.55 * lut[label[label > 0]]
        axes[0, k].imshow(grey, cmap="gray")
        axes[1, k].imshow(rgb)
        axes[0, k].axis("off"), axes[1, k].axis("off")
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(file, dpi=45)
    plt.close(figure)


# --------------------------------------------------------------------------------------------------------- evaluations
def evaluate_scan(predict: Predict, image: Path, seg: Path | None, png: Path | None, out: Path | None) -> dict:
    """Runs a NIfTI and scores it against FreeSurfer's labels at 2 mm and on its own grid."""
    import nibabel as nib

    scan = nib.as_closest_canonical(nib.load(image))
    volume = np.asarray(scan.dataobj, dtype=np.float32)
    while volume.ndim > 3:
        volume = volume[..., 0]
    spacing = [float(z) for z in scan.header.get_zooms()[:3]]
    logits = predict(to_grid(volume, spacing))
    ids = from_grid(logits, volume.shape, spacing)
    ml = float(np.prod(spacing)) / 1000
    result: dict = dict(
        image=image.name, volumes_ml={int(i): round(float((ids == i).sum()) * ml, 2) for i in CLASS_IDS[1:]}
    )
    if seg:
        want = freesurfer_to_ids(np.asarray(nib.as_closest_canonical(nib.load(seg)).dataobj))
        result["dice_2mm"] = dice(CLASS_IDS[logits.argmax(0)], reference_on_grid(want, spacing))
        result["dice"] = dice(ids, want)
        result["means_2mm"] = means(result["dice_2mm"], UNCOMPARABLE)
        result["means"] = means(result["dice"], UNCOMPARABLE)
    if png:
        overlay(volume, ids, png, image.name)
    if out:
        nib.save(nib.Nifti1Image(ids, scan.affine), out)
    return result


def undeformed(data: Path, number: int) -> np.ndarray:
    """A map at the place of the pool entries, padded to the size of a network input: [X, Y, Z] uint8 gen, 1 mm."""
    return pad(deform(load_map(data, number), 0, identity=True))


def pad(gen: np.ndarray) -> np.ndarray:
    """Background behind (x, y) and below (z) up to the next multiples of 2 * FACTOR."""
    room = [-n % (2 * FACTOR) for n in gen.shape]
    return np.pad(gen, [(0, room[0]), (0, room[1]), (room[2], 0)])


CONTRASTS = ("t1", "t2", "pd", "flair", "random")


def contrast(name: str, rs: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd [54] of a look. T2, PD and FLAIR are made from a T1-like draw by its own soft-tissue ramp: inverted
    with bright CSF, weak with CSF a little above grey matter, inverted weakly with dark CSF. Air is dark in all."""
    mean, sd = draw_intensities(rs, 0.0 if name == "random" else 1.0)
    csf = TISSUE == 1
    if name == "t2":
        mean = np.clip(240 - mean, 20, 255)
        mean[csf] = 235
    elif name == "pd":
        mean = 180 - 0.35 * mean
        mean[csf] = 175
    elif name == "flair":
        mean = 190 - 0.5 * mean
        mean[csf] = 25
    mean[0], sd[0] = 5, 3
    return mean.astype(np.float32), sd


def evaluate_maps(predict: Predict, data: Path, maps: list[int], looks: int) -> dict:
    """Held-back maps in five contrasts at the resolution of the grid, each `looks` times: the first time undeformed,
    then warped. Scored at 2 mm; CSF, which is the same thing here, is left out as on scans."""
    scores: dict[str, dict[int, list[float]]] = {c: {} for c in CONTRASTS}
    for number in maps:
        gen = load_map(data, number)
        for k in range(looks):
            volume = torch.from_numpy(pad(deform(gen, 900 + 10 * number + k, identity=k == 0)))
            for i, name in enumerate(CONTRASTS):
                rs = np.random.RandomState(10000 * number + 100 * k + i)
                s = synthesise(volume, rs, 1.0, contrast(name, rs), thick=False)
                got = CLASS_IDS[predict(s.image.numpy()).argmax(0)]
                for j, d in dice(got, CLASS_IDS[s.first.numpy()]).items():
                    scores[name].setdefault(j, []).append(d)
    mean = {c: {j: float(np.mean(d)) for j, d in s.items()} for c, s in scores.items()}
    return dict(maps=maps, looks=looks, dice=mean, means={c: means(d, UNCOMPARABLE) for c, d in mean.items()})


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--model", type=Path, required=True, help="state.pt or .onnx")
    ap.add_argument("--image", type=Path)
    ap.add_argument("--seg", type=Path, help="FreeSurfer's aseg on the grid of the image")
    ap.add_argument("--png", type=Path, help="write a picture")
    ap.add_argument("--out", type=Path, help="write the labels as NIfTI")
    ap.add_argument("--maps", help="numbers of held-back maps, 19,20")
    ap.add_argument("--looks", type=int, default=2)
    ap.add_argument("--data", type=Path, default=Path("data"), help="folder of map_NN.npy")
    ap.add_argument("--mirror", action="store_true", help="average with the mirror image")
    ap.add_argument("--raw", action="store_true", help="the last weights instead of their moving average")
    ap.add_argument("--json", type=Path, help="write the result here instead of to the terminal")
    ap.add_argument("--threads", type=int, default=2)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    predict = predictor(a.model, a.threads, not a.raw, a.mirror)
    if a.maps:
        result = evaluate_maps(predict, a.data, [int(i) for i in a.maps.split(",")], a.looks)
    elif a.image:
        result = evaluate_scan(predict, a.image, a.seg, a.png, a.out)
    else:
        ap.error("give --image or --maps")
    text = json.dumps(result, indent=1)
    if a.json:
        a.json.write_text(text + "\n")
        print(json.dumps(result.get("means")))
    else:
        print(text)


if __name__ == "__main__":
    main()
