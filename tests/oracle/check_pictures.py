"""Pictures that Pillow writes, as volumes; and label pictures of the program, read by Pillow."""

import os
import pathlib
import subprocess
import sys
import tempfile

import nibabel as nib
import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PROGRAM = TARGET / "debug/unet-vol"
SPACING = (0.14, 0.2, 3.0)


def converted(path, folder):
    """The volume that `convert` makes, as [k, j, i]."""
    out = folder / "out.nii"
    command = [PROGRAM, "convert", path, "-o", out, "--overwrite", "-q", "--input-spacing", ",".join(map(str, SPACING))]
    subprocess.run(command, check=True, capture_output=True)
    image = nib.load(out)
    assert np.allclose(image.header.get_zooms()[:3], SPACING)
    assert (image.header["sform_code"], image.header["qform_code"]) == (0, 0)
    return np.asarray(image.dataobj).T


def refused(path, folder):
    out = folder / "refused.nii"
    done = subprocess.run([PROGRAM, "convert", path, "-o", out, "-q"], capture_output=True, text=True, check=False)
    assert done.returncode in (3, 4), (path, done.returncode, done.stderr)
    assert not out.exists()


def main() -> int:
    if not PROGRAM.exists():
        print("the program was not built: run `cargo build`")
        return 77
    random = np.random.default_rng(0)
    checked = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        kinds = {"L": ("uint8", 256), "I;16": ("uint16", 65536), "F": ("float32", 1000), "I": ("int32", 100_000)}
        for mode, (dtype, top) in kinds.items():
            stack = random.integers(0, top, (7, 33, 21)).astype(dtype)
            pages = [Image.fromarray(page) for page in stack]
            for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits"):
                path = folder / f"{mode.replace(';', '')}_{compression}.tif"
                pages[0].save(path, save_all=True, append_images=pages[1:], compression=compression)
                assert np.array_equal(converted(path, folder), stack), (mode, compression)
                checked += 1
            if mode in ("L", "I;16"):
                series = folder / f"{mode.replace(';', '')}_files"
                series.mkdir()
                for n, page in enumerate(pages):
                    page.save(series / f"p{n + 5}.png")
                assert np.array_equal(converted(series, folder), stack), mode
                checked += 1
        smooth = (np.add.outer(np.arange(64), np.arange(48)) * 2).astype("uint8")
        Image.fromarray(smooth).save(folder / "a.jpg", quality=90)
        decoded = np.asarray(Image.open(folder / "a.jpg")).astype(int)
        assert np.abs(converted(folder / "a.jpg", folder)[0] - decoded).max() <= 1
        Image.fromarray(smooth).save(folder / "p.jpg", quality=90, progressive=True)
        decoded = np.asarray(Image.open(folder / "p.jpg")).astype(int)
        assert np.abs(converted(folder / "p.jpg", folder)[0] - decoded).max() <= 1
        Image.fromarray(smooth).convert("RGB").save(folder / "g.jpg", quality=90, progressive=True)
        decoded = np.asarray(Image.open(folder / "g.jpg"))[:, :, 0].astype(int)
        assert np.abs(converted(folder / "g.jpg", folder)[0] - decoded).max() <= 1
        checked += 2
        rgb = random.integers(0, 256, (16, 16, 3)).astype("uint8")
        for end in ("png", "tif", "jpg"):
            Image.fromarray(rgb).save(folder / f"color.{end}")
            refused(folder / f"color.{end}", folder)
        grey = np.repeat(rgb[:, :, :1], 3, axis=2)
        for end in ("png", "tif"):
            Image.fromarray(grey).save(folder / f"grey.{end}")
            assert np.array_equal(converted(folder / f"grey.{end}", folder)[0], rgb[:, :, 0])
        checked += 6
    print(f"{checked} pictures as Pillow has them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
