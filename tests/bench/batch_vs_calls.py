"""A batch of heads beside as many calls of `segment`: wall and processor seconds, and how busy the batch keeps the cores.

    python tests/bench/batch_vs_calls.py [--heads 20] [--rounds 3] [--threads 2] [--head FILE] [--program FILE] [--jobs N]

Rounds alternate. On a busy machine read the ratio of processor seconds; "busy" is what the batch got of its threads.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from run import ROOT, cold


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heads", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--head", type=Path, default=ROOT / "testdata/synthetic_head.nii.gz")
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/unet-vol")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        heads = [folder / "in" / f"head_{n}.nii.gz" for n in range(options.heads)]
        heads[0].parent.mkdir()
        for head in heads:
            shutil.copy(options.head.resolve(), head)
        common = ["--engine", "embedded", "--threads", options.threads, "--overwrite", "-q"]
        batch = [options.program, "batch", folder / "in", "-o", folder / "out", "--jobs", options.jobs, *common]
        best = None
        for _ in range(options.rounds):
            one = cold(batch, options.threads)
            calls = [
                cold([options.program, "segment", head, "-o", folder / "one.nii.gz", *common], options.threads)
                for head in heads
            ]
            wall, cpu = sum(call.wall for call in calls), sum(call.cpu for call in calls)
            busy = one.cpu / (one.wall * options.threads)
            print(
                f"batch {one.wall:.2f} s ({one.cpu:.2f} s CPU, {one.peak_mib:.0f} MiB, {busy:.0%} busy), "
                f"{options.heads} calls {wall:.2f} s ({cpu:.2f} s CPU): wall {one.wall / wall:.2f}, CPU {one.cpu / cpu:.2f}",
                flush=True,
            )
            best = min(best or 9e9, one.wall / wall)
        print(f"best ratio of wall times {best:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
