"""The mean of the moving averages of several training states of one network, as a state to export.

    python average.py run/a.pt run/b.pt --out run/mean.pt
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor


def average(states: list[dict]) -> dict[str, Tensor]:
    """The mean of the `ema` of states with the same `config`."""
    if any(s["config"] != states[0]["config"] for s in states):
        raise ValueError("the states are of different networks")
    return {k: torch.stack([s["ema"][k] for s in states]).mean(0) for k in states[0]["ema"]}


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("states", type=Path, nargs="+")
    ap.add_argument("--out", type=Path, required=True)
    a = ap.parse_args()
    states = [torch.load(f, map_location="cpu", weights_only=True) for f in a.states]
    torch.save(states[-1] | dict(ema=average(states)), a.out)


if __name__ == "__main__":
    main()
