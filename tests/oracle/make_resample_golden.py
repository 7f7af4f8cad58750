#!/usr/bin/env python3
"""Writes testdata/golden/resample_oracle.json: what SciPy, SimpleITK and plain NumPy say about small random volumes.

    python tests/oracle/make_resample_golden.py

Needs numpy, scipy and SimpleITK. Two runs write the same bytes. Arrays are indexed [i, j, k] and stored with i fastest.
Each case holds shapes, affines (three rows, voxel index to world RAS+ mm), options as `ResampleOptions` reads them, and
the values expected on the target.
"""
import itertools
import json
import os

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "..", "..", "testdata", "golden", "resample_oracle.json")
MODES = {"nearest": "scipy-nearest", "constant": {"constant": -50.0}, "mirror": "mirror"}


def rotation(rng, degrees):
    q, _ = np.linalg.qr(np.eye(3) + np.radians(degrees) * rng.standard_normal((3, 3)))
    return q * np.sign(np.diag(q))


def affine(linear, origin):
    return np.vstack([np.column_stack([linear, origin]), [0, 0, 0, 1]])


def flat(a):
    return [float(f"{v:.7g}") for v in np.asarray(a, float).ravel(order="F")]


def placed(shape, a):
    return dict(shape=[int(v) for v in shape], affine=[[float(v) for v in row] for row in a[:3]])


def case(name, source_affine, data, target_affine, target_shape, results, **more):
    """`results` are pairs of options and the values expected with them."""
    results = [dict(options=options, expected=flat(expected)) for options, expected in results]
    source = dict(**placed(data.shape, source_affine), data=flat(data))
    return dict(name=name, source=source, target=placed(target_shape, target_affine), results=results, **more)


def signed_permutations(rng, count):
    every = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))
    for n in rng.choice(len(every), count, replace=False):
        axes, signs = every[n]
        m = np.zeros((3, 3))
        m[axes, range(3)] = signs
        yield m


def scipy_cases(rng):
    """Permutations, flips, anisotropy, rotation and shear against affine_transform."""
    for n, turn in enumerate(signed_permutations(rng, 6)):
        shape = tuple(rng.integers(4, 7, 3))
        data = rng.integers(-300, 300, shape).astype(float)
        spacing = rng.uniform(0.5, 3.0, 3)
        shear = np.eye(3) + np.triu(rng.uniform(-0.3, 0.3, (3, 3)), 1) * (n % 2)
        source = affine(rotation(rng, 15) @ turn @ shear @ np.diag(spacing), rng.uniform(-20, 20, 3))
        size = tuple(rng.integers(3, 7, 3))
        if n < 3:  # axes stay parallel: another permutation with flips over the same field of view
            inner = next(signed_permutations(rng, 1)) @ np.diag(rng.uniform(0.6, 1.4, 3))
        else:
            inner = rotation(rng, 25) @ np.diag(rng.uniform(0.6, 1.2, 3))
        middle = (np.array(shape) - 1) / 2 + rng.uniform(-0.3, 0.3, 3)
        index = affine(inner, middle - inner @ ((np.array(size) - 1) / 2))
        target = source @ index
        results = []
        for order, (mode, border) in itertools.product((1, 3), MODES.items()):
            value = ndimage.affine_transform(data, index[:3, :3], index[:3, 3], size, order=order, mode=mode, cval=-50.0)
            results.append((dict(method={1: "linear", 3: "cubic"}[order], border=border), value))
        yield case(f"scipy {n}", source, data, target, size, results)


def itk_image(data, a):
    lps = np.diag([-1, -1, 1]) @ a[:3]
    spacing = np.linalg.norm(lps[:, :3], axis=0)
    image = sitk.GetImageFromArray(data.transpose(2, 1, 0).astype(np.float64))
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:, 3].tolist())
    return image


def itk_cases(rng):
    """Physical space: two rotated anisotropic grids with flips against SimpleITK."""
    for n, turn in enumerate(signed_permutations(rng, 3)):
        shape, size = tuple(rng.integers(4, 7, 3)), tuple(rng.integers(3, 7, 3))
        data = rng.integers(0, 500, shape).astype(float)
        source = affine(rotation(rng, 20) @ turn @ np.diag([1.0, 1.3, 2.6]), [3.0, -7.0, 11.0])
        centre = source[:3, :3] @ ((np.array(shape) - 1) / 2) + source[:3, 3]
        linear = rotation(rng, 20) @ np.diag([1.1, 0.9, 1.7])
        target = affine(linear, centre - linear @ ((np.array(size) - 1) / 2))
        reference = itk_image(np.zeros(size), target)
        value = sitk.Resample(itk_image(data, source), reference, sitk.Transform(), sitk.sitkLinear, -9.0, sitk.sitkFloat64)
        value = sitk.GetArrayFromImage(value).transpose(2, 1, 0)
        options = dict(method="linear", border={"field-of-view": -9.0})
        yield case(f"itk {n}", source, data, target, size, [(options, value)])


def axis_weights(n_in, s, n_out, spacing):
    """One axis, both grids centred alike: overlap of cells where s < spacing, else linear; outside the field 0."""
    ci, co = (np.arange(n_in) - (n_in - 1) / 2) * s, (np.arange(n_out) - (n_out - 1) / 2) * spacing
    if s < spacing:
        low, high = co[:, None] - spacing / 2, co[:, None] + spacing / 2
        w = np.minimum(high, ci + s / 2) - np.maximum(low, ci - s / 2)
    else:
        w = 1 - np.abs(co[:, None] - ci) / s
    w = np.maximum(0, w)
    w /= np.maximum(w.sum(1, keepdims=True), 1e-9)
    inside = np.abs(co) <= n_in * s / 2
    return w * inside[:, None], inside


def area_cases(rng):
    """A 2 mm grid about the centre of scans of other spacing, as the bundled brain network is fed."""
    for n, (shape, spacing, size) in enumerate([((7, 8, 5), (1.0, 1.0, 1.0), (4, 4, 5)), ((6, 5, 4), (0.8, 3.0, 2.0), (4, 8, 4)),
                                                ((9, 5, 6), (0.3, 1.9, 0.7), (3, 5, 4))]):
        data = rng.integers(0, 500, shape).astype(float)
        value, inside = data, np.ones(size, bool)
        for axis in range(3):
            w, within = axis_weights(shape[axis], spacing[axis], size[axis], 2.0)
            inside &= np.expand_dims(within, [a for a in range(3) if a != axis])
            value = np.moveaxis(np.tensordot(w, value, axes=(1, axis)), 0, axis)
        middle = lambda n, s: -(np.array(n) - 1) / 2 * np.array(s)
        source = affine(np.diag(spacing), middle(shape, spacing))
        target = affine(np.diag([2.0] * 3), middle(size, [2.0] * 3))
        turn = affine(next(signed_permutations(rng, 1)), [4.0, 5.0, 6.0])
        options = dict(method="area", border={"field-of-view": 0.0})
        ordered = np.sort(value[inside])
        low, high = (ordered[int(q * (len(ordered) - 1))] for q in (0.05, 0.95))
        normalized = np.clip((value - low) / max(high - low, 1e-6), 0, 1) * inside
        results = [(options, value)]
        yield case(f"area {n}", turn @ source, data, turn @ target, size, results, normalized=flat(normalized))


def smoothing_cases(rng):
    """A Gaussian, then linear or cubic by the half-pixel rule: scikit-image's anti-aliasing and SynthSeg."""
    rules = [("anti-aliasing", lambda f: np.where(f > 1, (f - 1) / 2, 0)), ("quarter", lambda f: np.where(f >= 1, f / 4, 0))]
    borders = [("symmetric", "reflect"), ("edge", "nearest"), ("zero", "constant")]
    for n, ((rule, sigma), (border, mode)) in enumerate(itertools.product(rules, borders)):
        shape, size = (9, 6, 5), (3, 4, 8)
        data = rng.integers(0, 500, shape).astype(float)
        factor = np.array(shape) / np.array(size)
        smooth = ndimage.gaussian_filter(data, sigma(factor), mode=mode, cval=0.0)
        source, target, results = affine(np.eye(3), [0, 0, 0]), affine(np.diag(factor), 0.5 * factor - 0.5), []
        for order, method in ((1, "linear"), (3, "cubic")):
            value = ndimage.affine_transform(smooth, factor, 0.5 * factor - 0.5, size, order=order, mode="nearest")
            options = dict(method=method, border="scipy-nearest", smoothing=dict(sigma=rule, border=border))
            results.append((options, value))
        yield case(f"smoothing {rule} {border}", source, data, target, size, results)


def decision_cases(rng):
    """Argmax of linearly interpolated scores on permuted and oblique targets, drawn until no voxel is close to a tie."""
    for n in range(4):
        shape, size, classes = (5, 4, 6), tuple(rng.integers(5, 8, 3)), 5
        inner = (next(signed_permutations(rng, 1)) if n % 2 else rotation(rng, 25)) @ np.diag(rng.uniform(0.4, 0.7, 3))
        index = affine(inner, (np.array(shape) - 1) / 2 - inner @ ((np.array(size) - 1) / 2))
        while True:
            scores = rng.integers(-100, 100, (classes, *shape)).astype(float)
            fine = [ndimage.affine_transform(s, index[:3, :3], index[:3, 3], size, order=1, mode="nearest") for s in scores]
            ordered = np.sort(fine, 0)
            if (ordered[-1] - ordered[-2]).min() > 1e-2:
                break
        labels = [int(v) for v in np.argmax(fine, 0).ravel(order="F")]
        yield dict(shape=list(shape), target=placed(size, index), scores=[flat(s) for s in scores], labels=labels)


def main():
    rng = np.random.default_rng(20)
    cases = [*scipy_cases(rng), *itk_cases(rng), *area_cases(rng), *smoothing_cases(rng)]
    golden = dict(made_by="tests/oracle/make_resample_golden.py", cases=cases, decisions=list(decision_cases(rng)))
    text = json.dumps(golden, separators=(",", ":")).replace(".0,", ",").replace(".0]", "]")
    with open(OUT, "w") as f:
        f.write(text + "\n")
    print(len(cases), "cases,", os.path.getsize(OUT), "bytes")


main()
