"""Measured processes, and the rows of the table that are made of them."""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
NOT_INSTALLED = 77


def environment(threads):
    """The same number of threads for every library, and no forced BLAS kernels, which would slow the peers."""
    forced = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
    kept = {name: value for name, value in os.environ.items() if name not in forced}
    pools = ("OMP", "OPENBLAS", "MKL", "RAYON", "ITK_GLOBAL_DEFAULT_NUMBER_OF")
    kept |= {f"{pool}_{'THREADS' if pool.startswith('ITK') else 'NUM_THREADS'}": str(threads) for pool in pools}
    return {"VIRTUAL_ENV": sys.prefix, **kept, "PYTHONWARNINGS": "ignore"}


@dataclasses.dataclass
class Measurement:
    """Best seconds, and the peak memory of the process; what else it printed is in `record`."""

    wall: float
    cpu: float
    peak_mib: float
    record: dict = dataclasses.field(default_factory=dict)

    def best(self, other):
        """The quickest of both; a record belongs to the one with less processor time."""
        first = min(self, other, key=lambda m: m.cpu)
        peak = max(self.peak_mib, other.peak_mib)
        return Measurement(min(self.wall, other.wall), first.cpu, peak, self.record | first.record)


class Failed(Exception):
    """Why there is no measurement."""


def process(command, threads):
    """Runs `command` to its end: its last line, and its time and memory from start to end.

    Memory is what the system kept for the child, which counts this process's own at its start; so nothing large is imported here.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        child = subprocess.Popen(list(map(str, command)), stdout=out, stderr=err, env=environment(threads), cwd=HERE)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        if child.returncode == NOT_INSTALLED:
            raise Failed("not installed")
        if child.returncode:
            said = [line for line in err.read().splitlines() if line.strip() and not line.startswith("note:")]
            raise Failed(said[-1][:100] if said else f"ended with {child.returncode}")
        line = (out.read().strip().splitlines() or [""])[-1]
    return line, Measurement(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def inner(command, threads):
    """A process that measures itself: its seconds are those of the JSON it prints, its memory is the process's."""
    line, outer = process(command, threads)
    record = json.loads(line)
    return Measurement(record.pop("wall"), record.pop("cpu"), outer.peak_mib, record)


def cold(command, threads):
    """A process measured from outside, start and end included."""
    line, outer = process(command, threads)
    outer.record = json.loads(line) if line.startswith("{") else {}
    return outer


@dataclasses.dataclass
class Row:
    """One line of the table: ours, the peers, and what the machine would allow."""

    name: str
    ours: object
    peers: dict
    floor: float | None = None
    note: object = None
    measured: dict = dataclasses.field(default_factory=dict)
    failed: dict = dataclasses.field(default_factory=dict)

    def measure(self, rounds):
        """Everyone once per round, so that other load meets all alike."""
        for _ in range(rounds):
            for name, run in {"ours": self.ours, **self.peers}.items():
                if name in self.failed:
                    continue
                try:
                    found = run()
                except Failed as reason:
                    self.failed[name] = str(reason)
                    continue
                self.measured[name] = self.measured[name].best(found) if name in self.measured else found
        return self

    def best_peer(self):
        """Name of the peer that takes least wall time."""
        return min((name for name in self.measured if name != "ours"), key=lambda n: self.measured[n].wall, default=None)
