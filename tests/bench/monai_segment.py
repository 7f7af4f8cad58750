"""The whole job of `unet-vol segment` with MONAI and PyTorch, as MONAI's own bundles do it.

    python tests/bench/monai_segment.py STUDY LABELS --model NET.onnx --spec SPEC.toml [--threads N]

Load, orient to RAS, bring to 2 mm, clip percentiles, pad to a multiple of 16, `sliding_window_inference` in one window (its best case:
no overlaps), `Invert` the scores onto the study's grid, argmax, write (`--nearest`: argmax, then `Invert`). Left out in MONAI's favour: the largest component,
statistics, picture, manifest. Prints one line of JSON: seconds of each stage, peak memory, and the network's difference to ONNX Runtime.
"""

import argparse
import json
import time
import tomllib
from pathlib import Path

BEGIN = time.perf_counter()
import nibabel
import numpy as np
import torch
from monai import transforms as mt
from monai.data import MetaTensor, decollate_batch
from monai.inferers import sliding_window_inference
from onnx_torch import OnnxNetwork, difference


def agreement(*paths):
    """Part of the voxels with a label that have the same one in both files, as a Dice coefficient over all labels."""
    a, b = (nibabel.load(path) for path in paths)
    if a.shape != b.shape or not np.allclose(a.affine, b.affine, atol=1e-3):
        return "other grids"
    a, b = (np.asarray(image.dataobj) for image in (a, b))
    return round(2 * int(((a == b) & (a > 0)).sum()) / int((a > 0).sum() + (b > 0).sum()), 4)


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("study")
    parser.add_argument("labels", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--nearest", action="store_true", help="decide labels at 2 mm: quick, and blocky")
    parser.add_argument("--check", nargs="?", const="", help="only compare: the network with ONNX Runtime, LABELS with a file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.check is not None:
        found = {"network's difference to ONNX Runtime": difference(arguments.model, (1, 1, 48, 32, 64))}
        if arguments.check:
            found["Dice of all labels"] = agreement(arguments.labels, arguments.check)
        print(json.dumps(found))
        return
    seconds, last = {"import": time.perf_counter() - BEGIN}, time.perf_counter()

    def lap(stage):
        nonlocal last
        seconds[stage], last = time.perf_counter() - last, time.perf_counter()

    network = OnnxNetwork(arguments.model).eval()
    spec = tomllib.loads(Path(arguments.spec).read_text())
    ids = np.zeros(1 + max(label["class"] for label in spec["labels"]), np.uint8)
    for label in spec["labels"]:
        ids[label["class"]] = label["id"]
    lap("open")
    load = mt.Compose([mt.LoadImaged("image"), mt.EnsureChannelFirstd("image")])
    prepare = mt.Compose(
        [
            mt.Orientationd("image", axcodes="RAS", labels=None),
            mt.Spacingd("image", pixdim=(2, 2, 2), mode="bilinear"),
            mt.ScaleIntensityRangePercentilesd("image", 0.5, 99.5, 0, 1, clip=True),
            mt.DivisiblePadd("image", k=16),
        ]
    )
    item = load({"image": arguments.study})
    lap("read")
    item = prepare(item)
    lap("prepare")
    batch = item["image"][None]
    scores = sliding_window_inference(batch, batch.shape[2:], 1, network, overlap=0)
    lap("network")
    item["pred"] = decollate_batch(MetaTensor(scores, meta=batch.meta))[0]
    decide = mt.AsDiscreted("pred", argmax=True)
    invert = mt.Invertd("pred", prepare, orig_keys="image", nearest_interp=arguments.nearest)
    steps = (decide, invert) if arguments.nearest else (invert, decide)
    labels = mt.Compose(steps)(item)["pred"].to(torch.uint8)
    lap("decide")
    labels.set_array(torch.from_numpy(ids[labels.numpy()]))
    folder, name = arguments.labels.parent, arguments.labels.name.removesuffix(".nii.gz")
    writer = mt.SaveImage(folder, "", ".nii.gz", output_dtype=np.uint8, separate_folder=False, print_log=False)
    writer(labels, filename=str(folder / name))
    lap("write")
    print(json.dumps({"stages": seconds}))


if __name__ == "__main__":
    main()
