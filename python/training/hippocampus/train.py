"""Trains the hippocampus model on two thirds of the cases; on CUDA if there is one, else on the CPU (bf16 on both).

    python -m hippocampus.train --data Task04 --run run_hippo            # images/ and labels/ in Task04
    python -m hippocampus.train --data Task04 --run run_hippo --resume   # goes on where the last one was stopped
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from hippocampus.cases import Augment
from hippocampus.network import ValidConfig, ValidUNet
from train import Schedule, Steps, Trainer, collate, loop


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--data", type=Path, required=True, help="folder with images/ and labels/")
    ap.add_argument("--run", type=Path, default=Path("run_hippo"), help="folder of state.pt and log.jsonl")
    ap.add_argument("--resume", action="store_true")
    ap.add_argument("--steps", type=int, default=3700, help="number of steps in all")
    ap.add_argument("--rate", default="0:1e-5,200:1e-3,2100:1e-3,3700:1e-5", help="learning rate, step:rate,...")
    ap.add_argument("--batch", type=int, default=2)
    ap.add_argument("--seed", type=int, default=1_000_000, help="seed of the first sample")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--workers", type=int, default=0, help="sample processes; 0: in the trainer, best on few cores")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    trainer = Trainer(ValidUNet(ValidConfig()), Schedule.parse(a.rate), device)
    file = a.run / "state.pt"
    if a.resume:
        trainer.load_state(torch.load(file, map_location="cpu", weights_only=True))
    elif file.exists():
        ap.error(f"{file} exists: give --resume or another --run")
    a.run.mkdir(parents=True, exist_ok=True)
    loader = DataLoader(
        Steps(Augment(a.data), a.seed),
        a.batch,
        sampler=range(trainer.done * a.batch, a.steps * a.batch),
        collate_fn=collate,
        num_workers=a.workers,
    )
    loop(trainer, loader, a.run, {})


if __name__ == "__main__":
    main()
