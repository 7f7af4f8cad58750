"""Networks to time engines on: those at hand, and, with PyTorch, well-known architectures with random weights.

    python tests/bench/networks.py FOLDER

writes `NAME.onnx` and `NAME.f32`, an input, for each of `CASES` that it can make.
"""

import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("UNET_VOL_SHARED", ROOT.parent / "shared"))
# Name: input shape, and the most time that we may take of ONNX Runtime's and of OpenVINO's.
CASES = {
    "brain-mri": ((1, 1, 96, 112, 96), (0.45, 0.9)),
    "unet3d-batchnorm": ((1, 1, 96, 96, 96), (0.55, 0.9)),
    "nnunet3d": ((1, 1, 128, 128, 128), (0.6, 0.95)),
    "unet2015": ((1, 1, 572, 572), (1.0, 1.0)),
    "unet2d": ((8, 1, 256, 256), (1.0, 1.0)),
    "meshnet_subcort18": ((1, 1, 96, 96, 96), (0.6, 1.0)),
}
FILES = {
    "brain-mri": ROOT / "src/model/weights/brain-mri.onnx",
    "meshnet_subcort18": SHARED / "data/models/meshnet_subcort18.onnx",
}


def made(name):
    """A network of PyTorch's with random weights."""
    from torch_networks import PlainConvUNet, UNet2015, randomized

    net = {
        "unet3d-batchnorm": lambda: PlainConvUNet([16, 32, 64, 128], [1, 2, 2, 2], classes=4, norm="batch"),
        "nnunet3d": lambda: PlainConvUNet([32, 64, 128, 256, 320, 320], [1, 2, 2, 2, 2, 2], classes=14),
        "unet2015": lambda: UNet2015(64),
        "unet2d": lambda: PlainConvUNet([32, 64, 128, 256, 512], [1, 2, 2, 2, 2], space=2, classes=2, norm="batch"),
    }[name]
    return randomized(net(), 1)


def write(name, shape, folder):
    import numpy as np

    path = folder / f"{name}.onnx"
    np.random.default_rng(0).random(shape, dtype=np.float32).tofile(folder / f"{name}.f32")
    if name in FILES:
        if FILES[name].exists():
            shutil.copyfile(FILES[name], path)
        return
    from torch_networks import export

    path.write_bytes(export(made(name), shape, "torchscript", 17).SerializeToString())


def main():
    folder = Path(sys.argv[1])
    sys.path.insert(0, str(ROOT / "tests/oracle"))
    for name, (shape, _) in CASES.items():
        try:
            write(name, shape, folder)
        except ImportError as error:
            print(f"{name}: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
