"""Writes the hippocampus model as ONNX, and the stored case of `unet-vol models verify`.

    python -m hippocampus.export --model run_hippo/state.pt --out hippocampus.onnx --store int8 --golden hippocampus.golden

The stored case is cut from the synthetic head of `testdata/`, so no scan is in it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from onnx import ModelProto, numpy_helper

import golden
from export import STORES, Graph, save_and_compare
from hippocampus.cases import normalised
from hippocampus.network import FACTOR, HALO, ValidConfig, ValidUNet

SIDE = (58, 66, 58)
"""x, y, z voxels of the stored case."""
HEAD = Path(__file__).parents[3] / "testdata" / "synthetic_head.nii.gz"


def load(path: Path) -> ValidUNet:
    """The moving average of a state.pt."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    net = ValidUNet(ValidConfig.from_dict(state["config"]))
    net.load_state_dict(state["ema"])
    return net.eval()


def to_onnx(net: ValidUNet, store: str) -> ModelProto:
    """`image` [batch, 1, z, y, x] -> `logits` [batch, 3, z - 38, y - 38, x - 38]."""
    g = Graph(store)
    for name, value in (("from4", 4), ("to4", -4), ("from16", 16), ("to16", -16)):
        g.arrays.append(numpy_helper.from_array(np.full(3, value, np.int64), name))
    g.arrays.append(numpy_helper.from_array(np.array([2, 3, 4], np.int64), "spatial"))
    x, skips = "image", []
    for i, block in enumerate(net.down):
        x = g.block(g.pool(x, f"pool.{i}") if i else x, f"down.{i}", block)
        skips.append(x)
    for i, cut in ((1, 4), (0, 16)):
        y = g.double(g.conv(x, f"proj.{i}", net.proj[i]), f"resize.{i}")
        skip = g.node("Slice", [skips[i], f"from{cut}", f"to{cut}", "spatial"], f"crop.{i}")
        x = g.block(g.node("Add", [y, skip], f"add.{i}"), f"dec.{i}", net.dec[i])
    g.conv(x, "head", net.head, "logits")
    properties = dict(
        spacing_mm="1 1 1",
        axes="N C z(superior) y(anterior) x(right)",
        sizes=f"{2 * HALO + FACTOR} + multiples of {FACTOR}",
        margin=str(HALO),
        normalise="clip to percentiles 0.5 and 99.5, mean 0, standard deviation 1; mirrored context",
        label_names="background|anterior|posterior",
        config=json.dumps(net.config.to_dict()),
    )
    return g.model("hippocampus", net.config.nclass, properties)


def synthetic_case() -> np.ndarray:
    """A box around the left hippocampus of the synthetic head, 1 mm, [z, y, x], normalised."""
    from nibabel.processing import resample_to_output

    seg = nib.load(HEAD.with_name("synthetic_head_seg.nii.gz"))
    centre = nib.affines.apply_affine(seg.affine, np.argwhere(np.asarray(seg.dataobj) == 17)).mean(0)
    image = resample_to_output(nib.load(HEAD), (1, 1, 1), order=1)
    middle = np.round(nib.affines.apply_affine(np.linalg.inv(image.affine), centre)).astype(int)
    low = middle - np.array(SIDE) // 2
    return normalised(image.get_fdata()[tuple(slice(a, a + n) for a, n in zip(low, SIDE))]).T


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--model", type=Path, required=True, help="state.pt")
    ap.add_argument("--out", type=Path, required=True)
    ap.add_argument("--store", choices=STORES, default="fp32", help="how the weights lie in the file")
    ap.add_argument("--golden", type=Path, help="also write the stored case of `models verify`")
    ap.add_argument("--threads", type=int, default=2)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    net = load(a.model)
    session = save_and_compare(to_onnx(net, a.store), net, a.out, (58, 62, 66), a.threads)
    if a.golden:
        x = synthetic_case()
        offset, scale = float(x.min()), float(np.ptp(x)) / 255
        image = golden.coarse((x - offset) / scale)
        logits = session.run(None, {"image": (image * np.float32(scale) + np.float32(offset))[None, None]})[0][0]
        classes = logits.argmax(0).astype(np.uint8)
        golden.write(a.golden, image, classes, scale, offset)
        print(f"{a.golden}: {np.bincount(classes.ravel(), minlength=3)} voxels of background, anterior, posterior")


if __name__ == "__main__":
    main()
