"""Synthetic head images from label maps (after Billot et al. 2023, SynthSeg), on the 2 mm grid.

Two stages, so that the trainer never waits:
 1. `prepare` turns label maps into RAS volumes of gen indices, `pool` fills one memory-mapped file with affinely and
    elastically deformed 1 mm volumes (0.2 to 0.5 CPU seconds each, done once).
 2. `Synth.sample(seed)` cuts a crop of a pool entry and makes a 2 mm image and target of it (0.05 CPU seconds): flip,
    tissue intensities, skull strip, partial volume, bias field, thick slices, noise, rescale, gamma.
Everything is a function of integer seeds: a resumed run sees the samples an unbroken one would see.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from labels import FLIP_GEN, GEN, GEN_TO_CLASS, N_NEUTRAL, N_SIDED, OUT_OF_BRAIN, SEG, TISSUE

POOL_SHAPE = (192, 224, 208)
"""Extent of a pool entry: 1 mm voxels, RAS; the brain sits 16 mm above the middle, to leave room for the neck."""
BRAIN_UP = 16
PRIORS = Path(__file__).resolve().parent / "priors"


# ------------------------------------------------------------------------------------------- stage 1: maps and pool
def prepare(maps_dir: Path, out: Path) -> None:
    """Label maps `*_seg_NN.nii.gz` or the like, any orientation -> out/map_NN.npy: [X, Y, Z] uint8 gen indices, RAS."""
    import nibabel as nib

    out.mkdir(parents=True, exist_ok=True)
    lut = np.zeros(GEN.max() + 1, np.uint8)
    lut[GEN] = np.arange(len(GEN))
    for f in sorted(maps_dir.glob("*.nii.gz")):
        ids = np.asarray(nib.as_closest_canonical(nib.load(f)).dataobj).astype(np.int32)
        if not np.isin(np.unique(ids), GEN).all():
            raise ValueError(f"{f} has labels that are not in GEN")
        number = int(f.name.removesuffix(".nii.gz").split("_")[-1])
        np.save(out / f"map_{number:02d}.npy", lut[ids])


def load_map(data: Path, number: int) -> np.ndarray:
    """[X, Y, Z] uint8 gen indices of map `number`."""
    return np.load(data / f"map_{number:02d}.npy")


def _brain_centre(gen: np.ndarray) -> np.ndarray:
    """[3] middle of the bounding box of everything that is segmented but CSF, in voxels."""
    half = gen[::2, ::2, ::2]
    p = np.argwhere((GEN_TO_CLASS[half] > 0) & (half != 4))
    return (p.min(0) + p.max(0)).astype(np.float64)


def _smooth_field(rs: np.random.RandomState, spacing: float, sd: float) -> Tensor:
    """Random displacements [1, 3, ...] in mm at a quarter of POOL_SHAPE: white noise on nodes `spacing` mm apart."""
    n = [int(np.ceil(s / spacing)) + 3 for s in POOL_SHAPE]
    f = torch.from_numpy(rs.standard_normal((1, 3, *n)).astype(np.float32)) * sd
    size = [max(s // 4, k) for s, k in zip(POOL_SHAPE, n)]
    f = F.interpolate(f, size=size, mode="trilinear", align_corners=True)
    return F.avg_pool3d(F.pad(f, (1,) * 6, mode="replicate"), 3, 1)


def _rotation(angles: np.ndarray) -> np.ndarray:
    """[3, 3] rotation about x, then y, then z by `angles` (radians)."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    return (
        np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
        @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        @ np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    )


def deform(gen: np.ndarray, seed: int, identity: bool = False) -> np.ndarray:
    """A randomly rotated (15 degrees), scaled (0.81-1.21), sheared, shifted (8 mm) and bent copy of a map, nearest
    neighbour, POOL_SHAPE uint8. `identity` only moves the brain to its place."""
    rs = np.random.RandomState(seed)
    centre = _brain_centre(gen)
    angles = np.deg2rad(rs.uniform(-15, 15, 3))
    scale = rs.uniform(0.88, 1.12) * rs.uniform(0.92, 1.08, 3)
    sh = rs.uniform(-0.02, 0.02, 6)
    shift = rs.uniform(-8, 8, 3)
    sd_fine, sd_coarse = rs.uniform(0, 2.5), rs.uniform(0, 4.0)
    if identity:
        angles, scale, sh, shift, sd_fine, sd_coarse = angles * 0, np.ones(3), sh * 0, shift * 0, 0.0, 0.0
    shear = np.array([[1, sh[0], sh[1]], [sh[2], 1, sh[3]], [sh[4], sh[5], 1]])
    affine = (_rotation(angles) @ shear @ np.diag(1 / scale)).astype(np.float32)
    middle = np.array(POOL_SHAPE) / 2 + [0, 0, BRAIN_UP] + shift
    field = _smooth_field(rs, 16, sd_fine)
    coarse = _smooth_field(rs, 48, sd_coarse)
    field = field + F.interpolate(coarse, size=field.shape[2:], mode="trilinear", align_corners=True)
    grid = [torch.arange(n, dtype=torch.float32) - float(m) for n, m in zip(POOL_SHAPE, middle)]
    flat = torch.zeros(POOL_SHAPE, dtype=torch.int32)
    inside = torch.ones(POOL_SHAPE, dtype=torch.bool)
    for ax, n in enumerate(gen.shape):
        a = affine[ax]
        x = (a[0] * grid[0]).view(-1, 1, 1) + (a[1] * grid[1]).view(1, -1, 1) + (a[2] * grid[2]).view(1, 1, -1)
        x = x + F.interpolate(field[:, ax : ax + 1], size=POOL_SHAPE, mode="trilinear", align_corners=True)[0, 0]
        i = (x + (float(centre[ax]) + 0.5)).floor_().to(torch.int32)
        inside &= (i >= 0) & (i < n)
        flat = flat * n + i.clamp_(0, n - 1)
    out = torch.take(torch.from_numpy(gen).reshape(-1), flat.long().reshape(-1)).reshape(POOL_SHAPE)
    return (out * inside).numpy()


def make_pool(data: Path, maps: list[int], per_map: int, seed: int, part: int, parts: int) -> None:
    """Fills entries part, part + parts, ... of data/pool.u8 (one process per part); entry i is a warp of map
    maps[i % len(maps)] with seed `seed + i`."""
    n = len(maps) * per_map
    file = data / "pool.u8"
    if part == 0:
        with open(file, "ab") as f:
            f.truncate(n * int(np.prod(POOL_SHAPE)))
        (data / "pool.json").write_text(json.dumps(dict(n=n, maps=maps, shape=POOL_SHAPE, seed=seed)))
    while not (data / "pool.json").exists():
        time.sleep(1)
    pool = np.memmap(file, np.uint8, "r+", shape=(n, *POOL_SHAPE))
    volumes = {m: load_map(data, m) for m in maps}
    for i in range(part, n, parts):
        pool[i] = deform(volumes[maps[i % len(maps)]], seed + i)
    pool.flush()


# ------------------------------------------------------------------------------------------ stage 2: images on the fly
@cache
def _t1_priors() -> tuple[np.ndarray, np.ndarray]:
    """SynthSeg's T1 priors: (mean and sd of the class means, mean and sd of the class sds), each [2, 25], 0..255."""
    return np.load(PRIORS / "prior_means_t1.npy"), np.load(PRIORS / "prior_stds_t1.npy")


def _white_fraction() -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd [25] of how much each tissue class of the brain looks like white (1) rather than grey matter (0), nan
    where it looks like neither. Pallidum and putamen hold iron: they may be darker than both in T2 and FLAIR."""
    fraction, spread = np.full(int(TISSUE.max()) + 1, np.nan), np.zeros(int(TISSUE.max()) + 1)
    for tissue, mean, sd in [
        (TISSUE[18], 1, 0),  # cerebral white matter
        (TISSUE[19], 0, 0),  # cerebral cortex, caudate, accumbens, hippocampus, amygdala
        (TISSUE[22], 0.95, 0.1),  # cerebellum white matter
        (TISSUE[23], 0, 0.1),  # cerebellum cortex
        (TISSUE[24], 0.5, 0.15),  # thalamus
        (TISSUE[26], 0.2, 0.2),  # putamen
        (TISSUE[27], 0.9, 0.25),  # pallidum
        (TISSUE[32], 0.75, 0.15),  # ventral DC
        (TISSUE[3], 0.85, 0.1),  # brain-stem
    ]:
        fraction[tissue], spread[tissue] = mean, sd
    return fraction, spread


WHITE_FRACTION = _white_fraction()


def draw_intensities(rs: np.random.RandomState, t1_share: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd ([54] each, on a scale of 0..255) of the voxels of each gen. T1-like with probability t1_share, else
    deep structures between random grey and white matter (40 %), random per tissue class (27 %) or random per gen."""
    n, n_tissue = len(GEN), int(TISSUE.max()) + 1
    u = rs.uniform()
    if u < t1_share:
        pm, ps = _t1_priors()
        class_mean = rs.normal(pm[0], pm[1])
        class_sd = np.abs(rs.normal(ps[0], ps[1]))
        mean = class_mean[TISSUE] + rs.normal(0, 5, n)
        sd = np.minimum(class_sd[TISSUE], 45)
        sd[1:5] = np.minimum(sd[1:5], 25)
    elif u < t1_share + 0.40 * (1 - t1_share):
        tissue = rs.uniform(10, 240, n_tissue)
        tissue[2] = np.clip(tissue[3] + rs.choice([-1, 1]) * rs.uniform(12, 120), 10, 240)
        fraction, spread = WHITE_FRACTION
        mixed = np.isfinite(fraction)
        white = rs.normal(fraction[mixed], spread[mixed])
        tissue[mixed] = tissue[3] + white * (tissue[2] - tissue[3])
        mean = tissue[TISSUE] + rs.normal(0, 4, n)
        sd = rs.uniform(2, 20, n_tissue)[TISSUE]
    elif u < t1_share + 0.67 * (1 - t1_share):
        mean = rs.uniform(10, 240, n_tissue)[TISSUE] + rs.normal(0, 6, n)
        sd = rs.uniform(2, 25, n_tissue)[TISSUE]
    else:
        mean = rs.uniform(10, 240, n)
        sd = rs.uniform(2, 25, n)
        mean[29] = mean[28]  # amygdala like hippocampus
        mean[35] = mean[34]  # both choroid plexus labels alike, between ventricle and their own
        mean[34] = 0.5 * mean[20] + 0.5 * mean[34]
        mean[21] = mean[20]  # both parts of the ventricle
    if rs.uniform() < 0.93:  # both sides alike
        left = slice(N_NEUTRAL, N_NEUTRAL + N_SIDED)
        right = slice(N_NEUTRAL + N_SIDED, n)
        d = rs.normal(0, 2, N_SIDED)
        mean[right], sd[right] = mean[left] + d, sd[left]
    v = rs.uniform()  # air: exactly zero, dark, or anything
    if v < 0.5:
        mean[0], sd[0] = 0, 0
    elif v < 0.9:
        mean[0], sd[0] = rs.uniform(0, 20), rs.uniform(0, 8)
    else:
        mean[0], sd[0] = rs.uniform(0, 200), rs.uniform(0, 15)
    return np.clip(mean, 0, 300).astype(np.float32), np.clip(sd, 0, 60).astype(np.float32)


def _blur(x: Tensor, sigma: float, axis: int) -> Tensor:
    """Gaussian blur of [1, 1, X, Y, Z] along one axis (0..2); sigma in voxels."""
    r = int(np.ceil(2.5 * sigma))
    k = torch.exp(-0.5 * (torch.arange(-r, r + 1, dtype=torch.float32) / sigma) ** 2)
    weights = (k / k.sum()).tolist()
    n = x.shape[2 + axis]
    pad = [0] * 6
    pad[2 * (2 - axis)] = pad[2 * (2 - axis) + 1] = r
    padded = F.pad(x, pad, mode="replicate")
    out = padded.narrow(2 + axis, 0, n) * weights[0]
    for i, w in enumerate(weights[1:], 1):
        out.add_(padded.narrow(2 + axis, i, n), alpha=w)
    return out


def _percentile(flat: Tensor, q: float) -> float:
    """The value of rank floor(q / 100 * (n - 1)) of the sorted values, counted from 0."""
    return float(flat.kthvalue(int(q / 100.0 * (flat.numel() - 1)) + 1).values)


def two_majorities(cls: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Classes [2X, 2Y, 2Z] uint8 at 1 mm -> of each 2x2x2 block ([X, Y, Z] each): the most frequent class, the second
    most frequent (the first again if there is no other), and the share of the first in the voxels of these two
    (float32, 0.5..1). The first found wins a draw."""
    a, b, c = (n // 2 for n in cls.shape)
    blocks = cls.reshape(a, 2, b, 2, c, 2)
    v = [blocks[:, i, :, j, :, k].contiguous() for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    counts = [torch.ones_like(v[0]) for _ in v]
    for i in range(8):
        for j in range(i):
            same = v[i] == v[j]
            counts[i] += same
            counts[j] += same
    first, n_first = v[0].clone(), counts[0].clone()
    for i in range(1, 8):
        better = counts[i] > n_first
        first = torch.where(better, v[i], first)
        n_first = torch.maximum(n_first, counts[i])
    second, n_second = first.clone(), torch.zeros_like(n_first)
    for i in range(8):
        n = counts[i] * (v[i] != first)
        better = n > n_second
        second = torch.where(better, v[i], second)
        n_second = torch.maximum(n_second, n)
    share = n_first.float() / (n_first + n_second)
    return first, second, share


@dataclass
class Sample:
    """One synthetic image and its target on the 2 mm grid; every tensor is [X, Y, Z]."""

    image: Tensor
    """float32, 0..1."""
    first: Tensor
    """uint8, the class of most of the voxel."""
    second: Tensor
    """uint8, the next class, equal to `first` inside a structure."""
    share: Tensor
    """float32, 0.5..1: the part of `first` in the two."""


def _skull_strip(rs: np.random.RandomState, img: Tensor, brain: Tensor) -> tuple[Tensor, Tensor]:
    """Keeps the brain [1, 1, X, Y, Z] (0 or 1) tightly or with a rim of 2 to 6 mm; (image, kept mask [X, Y, Z])."""
    if rs.uniform() < 0.25:
        keep = brain
    else:
        k = rs.randint(1, 4)
        keep = F.max_pool3d(brain, 2 * k + 1, 1, k)
        e = rs.randint(max(k - 1, 0), k + 1)
        if e:
            keep = -F.max_pool3d(-keep, 2 * e + 1, 1, e)
        keep = torch.maximum(keep, brain)
    fill = 0.0 if rs.uniform() < 0.9 else float(rs.uniform(0, 60))
    return torch.where(keep > 0, img, torch.full_like(img, fill)), keep[0, 0] > 0


def _lesions(rs: np.random.RandomState, g: torch.Generator, white: Tensor, ventricle: Tensor) -> Tensor:
    """How much of each voxel is lesion, 0..1: blobs in 0.5 to 20 % of the white matter, often around the ventricles.
    white and ventricle [1, 1, X, Y, Z]: the shares of these tissues in each voxel."""
    where = white > 0.5
    if int(where.sum()) < 500:
        return torch.zeros_like(white)
    nodes = [int(n / rs.uniform(3, 8)) + 2 for n in white.shape[2:]]
    field = F.interpolate(torch.randn(1, 1, *nodes, generator=g), size=white.shape[2:], mode="trilinear")
    near = F.avg_pool3d(ventricle, 9, 1, 4)
    field = field + near * (rs.uniform(0, 3) / max(float(near.max()), 1e-3))
    threshold = _percentile(field[where], 100 * (1 - 10 ** rs.uniform(-2.3, -0.7)))
    return torch.sigmoid((field - threshold) / rs.uniform(0.05, 0.3)) * white


def _acquire(rs: np.random.RandomState, g: torch.Generator, img: Tensor) -> Tensor:
    """Thick slices in one axis (35 %), lower resolution in all (15 %) or slight blur; [1, 1, X, Y, Z]."""
    u = rs.uniform()
    res = [2.0] * 3
    if u < 0.35:
        res[rs.randint(3)] = rs.uniform(2, 7)
    elif u < 0.5:
        res = [rs.uniform(2, 4)] * 3
    for ax in range(3):
        if res[ax] > 2:
            sigma = 0.5 * res[ax] / 2 * rs.uniform(0.6, 1.1)
        else:
            sigma = rs.uniform(0.0, 0.6) if rs.uniform() < 0.5 else 0
        if sigma > 0.2:
            img = _blur(img, sigma, ax)
    if max(res) > 2.2:
        full = img.shape[2:]
        small = [max(4, int(round(n * 2 / r))) for n, r in zip(full, res)]
        img = F.interpolate(img, size=small, mode="trilinear", align_corners=False)
        if rs.uniform() < 0.7:
            img = img + torch.randn(img.shape, generator=g) * float(img.max()) * rs.uniform(0, 0.03)
        img = F.interpolate(img, size=full, mode="trilinear" if rs.uniform() < 0.8 else "nearest")
    return img


def _field_of_view(rs: np.random.RandomState, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """What the scanner saw of the grid: all of it (75 %), an axis cut off at one end, or a slab (mostly of axial slices)."""
    field = [slice(0, n) for n in shape]
    kind = rs.uniform()
    if kind < 0.10:
        ax = rs.randint(3)
        w = rs.randint(2, shape[ax] // 4)
        field[ax] = slice(w, shape[ax]) if rs.uniform() < 0.5 else slice(0, shape[ax] - w)
    elif kind < 0.25:
        ax = 2 if rs.uniform() < 0.6 else rs.randint(3)
        thick = rs.randint(shape[ax] // 4, 3 * shape[ax] // 4)
        start = rs.randint(0, shape[ax] - thick + 1)
        field[ax] = slice(start, start + thick)
    return tuple(field)


def _only(x: Tensor, field: tuple[slice, ...]) -> Tensor:
    """`x` inside the field of view, 0 outside, as the program pads what a scan does not hold."""
    y = torch.zeros_like(x)
    y[field] = x[field]
    return y


def synthesise(
    gen: Tensor,
    rs: np.random.RandomState,
    t1_share: float,
    intensities: tuple[np.ndarray, np.ndarray] | None = None,
    thick: bool = True,
) -> Sample:
    """[2X, 2Y, 2Z] uint8 gen indices at 1 mm -> a random image and its target at 2 mm. `intensities` (mean and sd of
    each gen, [54]) takes the place of random ones; without `thick` the image keeps the
    resolution of the grid and its whole field of view."""
    g = torch.Generator().manual_seed(int(rs.randint(2**31)))
    mean, sd = intensities or draw_intensities(rs, t1_share)
    seg = torch.from_numpy(GEN_TO_CLASS)
    if rs.uniform() < 0.5:  # left/right flip: what was left is right now, in the target as in the intensities
        gen = gen.flip(0)
        mean, sd = mean[FLIP_GEN], sd[FLIP_GEN]
        seg = seg[torch.from_numpy(FLIP_GEN)]
    flat = gen.reshape(-1).long()

    def per_block(values: np.ndarray) -> Tensor:
        """[54] values -> their 2x2x2 means [1, 1, X, Y, Z]."""
        table = torch.from_numpy(np.asarray(values, np.float32))
        return F.avg_pool3d(torch.take(table, flat).reshape(1, 1, *gen.shape), 2)

    first, second, share = two_majorities(torch.take(seg, flat).reshape(gen.shape))
    mu, sigma = per_block(mean), per_block(sd)
    if thick and rs.uniform() < 0.3:
        white, ventricle = (per_block(np.isin(SEG, ids)) for ids in ([2, 41], [4, 43]))
        lesion = _lesions(rs, g, white, ventricle)
        wm, csf = mean[TISSUE == TISSUE[18]].mean(), mean[TISSUE == 1].mean()
        value = wm + rs.uniform(0.2, 0.9) * (csf - wm) if rs.uniform() < 0.5 else rs.uniform(10, 240)
        mu = mu + lesion * (float(value) - mu)
    noise = torch.randn(mu.shape, generator=g)
    if rs.uniform() < 0.5:  # texture of twice the scale
        half = torch.randn([1, 1] + [(s + 1) // 2 for s in mu.shape[2:]], generator=g)
        noise = 0.7 * noise + 0.9 * F.interpolate(half, size=mu.shape[2:], mode="trilinear")
    img = mu + sigma * noise * rs.uniform(0.25, 0.8)
    if rs.uniform() < 0.4:
        img, keep = _skull_strip(rs, img, (per_block(~OUT_OF_BRAIN) > 0.4).float())
        first, second = first * keep, second * keep
    img = img.clamp_(min=0)
    if rs.uniform() < 0.9:  # bias field
        k = rs.randint(2, 6)
        b = torch.randn(1, 1, k, k, k, generator=g) * rs.uniform(0, 0.5)
        img = img * torch.exp(F.interpolate(b, size=img.shape[2:], mode="trilinear", align_corners=True))
    if thick:
        img = _acquire(rs, g, img)
    if rs.uniform() < 0.6:  # scanner noise
        img = (img + torch.randn(img.shape, generator=g) * float(img.max()) * rs.uniform(0, 0.04)).abs_()
    field = _field_of_view(rs, img.shape[2:]) if thick else (slice(None),) * 3
    some = img[0, 0][field].reshape(-1)[::7]
    lo, hi = _percentile(some, rs.uniform(0, 1.0)), _percentile(some, rs.uniform(98.5, 99.9))
    img = ((img - lo) / max(hi - lo, 1e-6)).clamp_(0, 1)
    img = img.pow(float(np.exp(rs.normal(0, 0.25))))
    return Sample(*(_only(x, field) for x in (img[0, 0], first, second)), share)


class Synth:
    """Random crops of the pool, made into images."""

    def __init__(self, data: Path, crop: tuple[int, int, int], t1_share: float) -> None:
        """data: folder with pool.u8 and pool.json; crop: size of the samples in 2 mm voxels."""
        meta = json.loads((data / "pool.json").read_text())
        self.pool = np.memmap(data / "pool.u8", np.uint8, "r", shape=(meta["n"], *meta["shape"]))
        self.crop, self.t1_share = crop, t1_share

    def sample(self, seed: int) -> Sample:
        rs = np.random.RandomState(seed % 2**32)
        entry = self.pool[rs.randint(len(self.pool))]
        anywhere = rs.uniform() < 0.15  # else around the brain
        window = []
        for ax, n in enumerate(2 * c for c in self.crop):
            room = entry.shape[ax] - n
            middle = room / 2 + (BRAIN_UP if ax == 2 else 0)
            s = rs.uniform(0, room) if anywhere else middle + rs.uniform(-1, 1) * (18, 22, 20)[ax]
            start = int(np.clip(round(s), 0, room))
            window.append(slice(start, start + n))
        return synthesise(torch.from_numpy(np.ascontiguousarray(entry[tuple(window)])), rs, self.t1_share)


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("what", choices=["prepare", "pool"])
    ap.add_argument("--data", type=Path, default=Path("data"), help="folder of map_NN.npy and pool.u8")
    ap.add_argument("--maps-dir", type=Path, help="prepare: folder of SynthSeg's training_label_maps")
    ap.add_argument("--maps", default="1-18", help="pool: first-last number of the maps")
    ap.add_argument("--per-map", type=int, default=36, help="pool: warps of each map (8.9 MB each)")
    ap.add_argument("--seed", type=int, default=200000, help="pool: seed of the first entry")
    ap.add_argument("--part", type=int, default=0)
    ap.add_argument(
        "--parts", type=int, default=1, help="pool: number of processes filling it, of which this is --part"
    )
    a = ap.parse_args()
    if a.what == "prepare":
        prepare(a.maps_dir, a.data)
    else:
        lo, hi = map(int, a.maps.split("-"))
        torch.set_num_threads(1)
        make_pool(a.data, list(range(lo, hi + 1)), a.per_map, a.seed, a.part, a.parts)


if __name__ == "__main__":
    main()
