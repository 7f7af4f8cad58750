"""Trains the U-Net on synthetic heads; on CUDA if there is one, else on the CPU (bf16 on both).

    python train.py --run run --init brain.onnx      # a new run that starts from exported weights
    python train.py --run run --resume               # goes on where the last one was stopped

Everything is a function of the step: the samples, the learning rate, the averaging. A run that was stopped (SIGTERM or
SIGINT: the step is finished and the state saved) and resumed takes the same steps as one that was not. A resumed run
keeps the options it was started with, except those given again.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from generate import Sample, Synth
from labels import NCLASS
from network import FACTOR, Config, UNet, cost, widen
from weights import load

CL = torch.channels_last_3d


class DiceCE(torch.autograd.Function):
    """Mean over the present classes of 1 - soft Dice against the first class of each voxel, plus cross-entropy against
    the shares of its first two. The gradient is written by hand: three passes over the [V, C] probabilities instead of
    the fifteen of plain autograd, which would cost as much as all convolutions.

    logits [N, C, X, Y, Z]; first, second uint8 and share float32 [N, X, Y, Z]; class_weight [C] for the cross-entropy.
    Returns (loss, Dice of each class [C], which classes are present [C]).
    """

    @staticmethod
    def forward(ctx, logits: Tensor, first: Tensor, second: Tensor, share: Tensor, class_weight: Tensor):
        c = logits.shape[1]
        p = torch.softmax(logits.permute(0, 2, 3, 4, 1).reshape(-1, c).float(), 1)
        y1, y2, a = first.reshape(-1).long(), second.reshape(-1).long(), share.reshape(-1)
        p1, p2 = p.gather(1, y1[:, None])[:, 0], p.gather(1, y2[:, None])[:, 0]
        w1, w2 = class_weight[y1] * a, class_weight[y2] * (1 - a)
        total = (w1 + w2).sum()
        w1, w2 = w1 / total, w2 / total
        ce = -(p1.clamp_min(1e-7).log() * w1 + p2.clamp_min(1e-7).log() * w2).sum()
        count = torch.bincount(y1, minlength=c).float()
        inter = torch.zeros_like(count).index_add_(0, y1, p1)
        den = count + p.sum(0) + 1.0
        dice = (2 * inter + 1.0) / den
        present = count > 0
        wd = present.float()
        wd[0] *= 0.5
        wd = wd / wd.sum()
        ctx.save_for_backward(p, y1, y2, p1, w1, w2, -2.0 * wd / den, wd * dice / den)
        ctx.shape, ctx.dtype = logits.shape, logits.dtype
        ctx.mark_non_differentiable(dice, present)
        return (wd * (1 - dice)).sum() + ce, dice, present

    @staticmethod
    def backward(ctx, grad: Tensor, *_):
        p, y1, y2, p1, w1, w2, alpha, beta = ctx.saved_tensors
        # dDice/dp is beta everywhere and alpha more on the true class; softmax backward needs its mean under p
        hit = alpha[y1] * p1
        g = beta[None, :] - (p @ beta + hit - w1 - w2)[:, None]
        g.mul_(p)
        g.scatter_add_(1, y1[:, None], (hit - w1)[:, None])
        g.scatter_add_(1, y2[:, None], -w2[:, None])
        n, c, x, y, z = ctx.shape
        g = (g * grad).to(ctx.dtype).reshape(n, x, y, z, c).permute(0, 4, 1, 2, 3)
        return g, None, None, None, None


@dataclass(frozen=True)
class Schedule:
    """The learning rate as a function of the step alone: straight lines in log(rate) between points (step, rate)."""

    points: tuple[tuple[int, float], ...]

    @staticmethod
    def parse(text: str) -> Schedule:
        """`0:1e-5,500:1e-3,20000:1e-4`."""
        pairs = [p.split(":") for p in text.split(",")]
        points = tuple((int(s), float(r)) for s, r in pairs)
        if any(a[0] >= b[0] for a, b in zip(points, points[1:])) or any(r <= 0 for _, r in points):
            raise ValueError(f"steps must grow and rates be positive: {text}")
        return Schedule(points)

    def __call__(self, step: int) -> float:
        if step <= self.points[0][0]:
            return self.points[0][1]
        for (s0, r0), (s1, r1) in zip(self.points, self.points[1:]):
            if step < s1:
                f = (step - s0) / (s1 - s0)
                return math.exp((1 - f) * math.log(r0) + f * math.log(r1))
        return self.points[-1][1]


class Steps(Dataset):
    """Sample number i of the run, a function of i alone."""

    def __init__(self, synth: Synth, seed: int) -> None:
        self.synth, self.seed = synth, seed

    def __getitem__(self, i: int) -> Sample:
        return self.synth.sample(self.seed + i)


Batch = tuple[Tensor, Tensor, Tensor, Tensor]


def collate(samples: list[Sample]) -> Batch:
    """(image [N, 1, X, Y, Z], first, second, share [N, X, Y, Z])."""
    image = torch.stack([s.image for s in samples])[:, None]
    first, second, share = (torch.stack([getattr(s, k) for s in samples]) for k in ("first", "second", "share"))
    return image, first, second, share


class Trainer:
    """Network, moving average, optimiser and step: all that a step changes."""

    def __init__(
        self,
        net: UNet,
        schedule: Schedule,
        device: str = "cpu",
        decay: float = 1e-4,
        ema: float = 0.999,
        bf16: bool = True,
    ) -> None:
        self.device, self.schedule, self.ema_rate, self.bf16 = device, schedule, ema, bf16
        self.net = net.to(device, memory_format=CL)
        weights = [p for p in net.parameters() if p.ndim > 1]
        biases = [p for p in net.parameters() if p.ndim == 1]
        groups = [dict(params=weights, weight_decay=decay), dict(params=biases, weight_decay=0.0)]
        self.opt = torch.optim.AdamW(groups, lr=schedule(0), betas=(0.9, 0.99))
        self.ema = {k: v.detach().clone() for k, v in net.state_dict().items()}
        self.done = 0
        """Number of steps taken."""
        self.class_weight = torch.ones(net.config.nclass, device=device)
        self.class_weight[0] = 0.5

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """One optimiser step; returns loss, gradient norm, and Dice and presence of each class [33]."""
        image, first, second, share = (t.to(self.device, non_blocking=True) for t in batch)
        for group in self.opt.param_groups:
            group["lr"] = self.schedule(self.done)
        self.net.train()
        with torch.autocast(self.device, torch.bfloat16, enabled=self.bf16):
            logits = self.net(image.contiguous(memory_format=CL))
        loss, dice, present = DiceCE.apply(logits, first, second, share, self.class_weight)
        self.opt.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        if torch.isfinite(loss) and torch.isfinite(norm):
            self.opt.step()
        self.done += 1
        rate = min(self.ema_rate, (1 + self.done) / (10 + self.done))
        with torch.no_grad():
            for k, v in self.net.state_dict().items():
                self.ema[k].lerp_(v, 1 - rate)
        return dict(loss=loss.detach(), norm=norm, dice=dice, present=present)

    def state(self) -> dict:
        return dict(
            net=self.net.state_dict(),
            ema=self.ema,
            opt=self.opt.state_dict(),
            done=self.done,
            config=self.net.config.to_dict(),
        )

    def load_state(self, state: dict) -> None:
        self.net.load_state_dict(state["net"])
        self.opt.load_state_dict(state["opt"])
        with torch.no_grad():
            for k, v in state["ema"].items():
                self.ema[k].copy_(v)
        self.done = int(state["done"])


class Log:
    """Means over the last steps, one JSON object a line."""

    def __init__(self, file: Path, classes: int) -> None:
        self.file, self.classes = open(file, "a"), classes
        self._clear()

    def _clear(self) -> None:
        self.n, self.loss, self.norm, self.start = 0, 0.0, 0.0, time.monotonic()
        self.dice, self.present = torch.zeros(self.classes), torch.zeros(self.classes)

    def add(self, r: dict[str, Tensor]) -> None:
        self.n += 1
        self.loss += float(r["loss"])
        self.norm += float(r["norm"])
        present = r["present"].float().cpu()
        self.dice += r["dice"].cpu() * present
        self.present += present

    def write(self, step: int, rate: float) -> None:
        seen = self.present > 0
        seen[0] = False
        line = dict(
            step=step,
            time=time.strftime("%H:%M:%S", time.gmtime()),
            loss=round(self.loss / self.n, 4),
            dice=round(float((self.dice / self.present.clamp_min(1))[seen].mean()), 4),
            rate=float(f"{rate:.3g}"),
            norm=round(self.norm / self.n, 3),
            seconds_per_step=round((time.monotonic() - self.start) / self.n, 3),
        )
        for out in (self.file, None):
            print(json.dumps(line), file=out, flush=True)
        self._clear()


def save(file: Path, state: dict) -> None:
    """Writes beside the file and renames, so that a state is never half written."""
    part = file.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, file)


def loop(
    trainer: Trainer, loader: Iterable[Batch], run: Path, options: dict, log_every: int = 50, save_every: float = 300
) -> None:
    """Takes a step per batch and keeps `run`/state.pt and log.jsonl; SIGTERM or SIGINT ends it after the step."""
    file = run / "state.pt"
    stop: list[int] = []
    for s in (signal.SIGTERM, signal.SIGINT):
        signal.signal(s, lambda number, _frame: stop.append(number))
    log, saved = Log(run / "log.jsonl", len(trainer.class_weight)), time.monotonic()
    for batch in loader:
        log.add(trainer.step(batch))
        if trainer.done % log_every == 0:
            log.write(trainer.done, trainer.schedule(trainer.done - 1))
        if stop:
            break
        if time.monotonic() - saved > save_every:
            save(file, trainer.state() | dict(options=options))
            saved = time.monotonic()
    save(file, trainer.state() | dict(options=options))
    print(f"saved after {trainer.done} steps", flush=True)


def arguments() -> argparse.ArgumentParser:
    def ints(text: str) -> tuple[int, ...]:
        return tuple(int(v) for v in text.split(","))

    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--data", default="data", help="folder with pool.u8 and pool.json")
    ap.add_argument("--run", type=Path, default=Path("run"), help="folder of state.pt and log.jsonl")
    ap.add_argument("--resume", action="store_true")
    ap.add_argument("--init", type=Path, help="start from an exported .onnx or a state.pt, widened if need be")
    ap.add_argument("--widths", type=ints, help="channels at 2,4,8,16,32 mm; default: those of --init")
    ap.add_argument("--top", type=int, help="channels of the last convolution; default: that of --init")
    ap.add_argument("--decoder", type=ints, help="convolutions going up at 2,4,8,16 mm; default: those of --init")
    ap.add_argument("--steps", type=int, default=100_000, help="number of steps in all")
    ap.add_argument("--rate", default="0:2e-5,400:1e-3,30000:1e-3,100000:1e-5", help="learning rate, step:rate,...")
    ap.add_argument("--ema", type=float, default=0.999)
    ap.add_argument("--decay", type=float, default=1e-4, help="weight decay")
    ap.add_argument("--crop", type=ints, default=(64, 80, 64), help="2 mm voxels")
    ap.add_argument("--batch", type=int, default=1)
    ap.add_argument("--seed", type=int, default=50_000_000, help="seed of the first sample")
    ap.add_argument("--t1-share", type=float, default=0.55, help="part of T1-like looks")
    ap.add_argument("--fp32", action="store_true", help="no bf16")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--workers", type=int, default=0, help="sample processes; 0: in the trainer, best on few cores")
    ap.add_argument("--save-every", type=float, default=300, help="seconds")
    ap.add_argument("--log-every", type=int, default=50, help="steps")
    return ap


NOT_KEPT = {"run", "resume", "init", "data", "threads", "workers"}
"""Options that a resumed run does not take from its state."""


def start_network(a: argparse.Namespace) -> UNet:
    torch.manual_seed(a.seed)
    base = load(a.init) if a.init else UNet(Config())
    config = Config(NCLASS, a.widths or base.config.widths, a.top or base.config.top, a.decoder or base.config.decoder)
    if not a.init:
        return UNet(config)
    return widen(base, config) if config != base.config else base


def main() -> None:
    ap = arguments()
    a = ap.parse_args()
    file = a.run / "state.pt"
    state = None
    if a.resume:
        state = torch.load(file, map_location="cpu", weights_only=True)
        ap.set_defaults(**state["options"])
        a = ap.parse_args()
    elif file.exists():
        ap.error(f"{file} exists: give --resume or another --run")
    a.run.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(a.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not a.fp32 and min(a.crop) < 4 * FACTOR:
        # torch 2.15: the gradient of bf16 weights is wrong, and not repeatable, where an axis is 2 voxels or less
        ap.error(f"bf16 on the CPU needs a crop of at least {4 * FACTOR} voxels in every axis")
    net = UNet(Config.from_dict(state["config"])) if state else start_network(a)
    macs, parameters = cost(net)
    print(f"{net.config}: {macs / 1e3:.1f} kMAC per voxel, {parameters} parameters, {device}", flush=True)
    trainer = Trainer(net, Schedule.parse(a.rate), device, a.decay, a.ema, not a.fp32)
    if state:
        trainer.load_state(state)
    options = {k: v for k, v in vars(a).items() if k not in NOT_KEPT}

    loader = DataLoader(
        Steps(Synth(Path(a.data), a.crop, a.t1_share), a.seed),
        a.batch,
        sampler=range(trainer.done * a.batch, a.steps * a.batch),
        collate_fn=collate,
        num_workers=a.workers,
        pin_memory=device == "cuda",
    )
    loop(trainer, loader, a.run, options, a.log_every, a.save_every)


if __name__ == "__main__":
    main()
