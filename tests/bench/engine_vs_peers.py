"""Times the embedded engine, ONNX Runtime and OpenVINO on the same inputs in turn, and compares scores and memory.

    python tests/bench/engine_vs_peers.py MODEL SHAPE [MODEL SHAPE ...] [--threads 1] [--rounds 5] [--bf16]

Each round runs every engine once, so that other load meets all alike; the best round of each counts. Prints milliseconds of wall
time and of processor time (all threads), the ratio of ours to each peer in both, and the largest difference to ONNX Runtime over its largest score. Then
the peak memory of processes that run the model once, ONNX Runtime's also without what Python with its modules took before.
Needs numpy, onnxruntime and, where it is to be compared, openvino.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]


def build():
    """Path of the bench program."""
    command = ["cargo", "bench", "--no-run", "--bench", "engine", "--message-format=json"]
    command += ["--no-default-features", "--features", "embedded"]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    found = [m["executable"] for m in map(json.loads, lines) if m.get("executable") and m["target"]["name"] == "engine"]
    return found[-1]


def onnxruntime_session(model, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name, outputs = session.get_inputs()[0].name, [session.get_outputs()[0].name]
    return lambda x: session.run(outputs, {name: x})[0]


def openvino_session(model, shape, threads, precision):
    import openvino

    core = openvino.Core()
    graph = core.read_model(model)
    graph.reshape(shape)
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads}
    request = core.compile_model(graph, "CPU", settings).create_infer_request()
    return lambda x: request.infer([x])[0]


class Ours:
    """The embedded engine, in a process of its own; a call's time is what that process measured."""

    def __init__(self, program, model, shape, threads, bf16):
        self.command = [program, model, ",".join(map(str, shape)), "--threads", str(threads)] + ["--bf16"] * bf16
        self.folder = tempfile.TemporaryDirectory()

    def __call__(self, x, rounds=2):
        source, target = (str(Path(self.folder.name) / name) for name in ("in", "out"))
        x.tofile(source)
        command = [*self.command, "--rounds", str(rounds), "--input", source, "--output", target]
        line = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
        shape = [int(n) for n in re.search(r"output \[(.*)\]", line)[1].split(",")]
        spent = [float(re.search(rf"{key} ([\d.]+)", line)[1]) for key in (" ms", " cpu_ms")]
        return spent, np.fromfile(target, "<f4").reshape(shape), line


RUN_ONCE = """
import resource, sys
import numpy, onnxruntime
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(sys.argv[3])
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
x = numpy.zeros([int(n) for n in sys.argv[2].split(",")], numpy.float32)
session.run(None, {session.get_inputs()[0].name: x})
print(before / 1024)
"""


LAUNCH = """
import resource, subprocess, sys
print(subprocess.run(sys.argv[1:], check=True, stdout=subprocess.PIPE, text=True).stdout)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_mib(command):
    """Peak resident memory of a process, and what it printed. A small process launches it: a forked one begins with the
    peak of its parent, which holds the peers here."""
    done = subprocess.run([sys.executable, "-c", LAUNCH, *command], check=True, stdout=subprocess.PIPE, text=True)
    text, peak = done.stdout.strip().rsplit("\n", 1)
    return int(peak) / 1024, text


def compare_memory(ours, model, shape, threads):
    mine, _ = peak_mib([*ours.command, "--rounds", "1"])
    theirs, before = peak_mib([sys.executable, "-c", RUN_ONCE, model, ",".join(map(str, shape)), str(threads)])
    alone = theirs - float(before.split()[-1])
    print(f"  memory: embedded {mine:.0f} MiB, onnxruntime {theirs:.0f} MiB ({alone:.0f} without Python);", end=" ")
    print(f"{mine / theirs:.2f}x ({mine / alone:.2f}x)", flush=True)


def compare(program, model, shape, arguments):
    threads = arguments.threads
    x = np.random.default_rng(0).random(shape, dtype=np.float32)
    ours = Ours(program, model, shape, threads, arguments.bf16)
    peers = {"onnxruntime": onnxruntime_session(model, threads)}
    try:
        peers["openvino"] = openvino_session(model, shape, threads, "bf16" if arguments.bf16 else "f32")
    except Exception as error:  # noqa: BLE001 - a peer that cannot be had is left out
        print(f"  without openvino: {error}")
    best = {name: [float("inf")] * 2 for name in ["embedded", *peers]}
    scores = {}
    for _ in range(arguments.rounds):
        for name, run in peers.items():
            start = time.perf_counter(), time.process_time()
            scores[name] = run(x)
            spent = time.perf_counter() - start[0], time.process_time() - start[1]
            best[name] = [min(a, 1e3 * b) for a, b in zip(best[name], spent)]
        spent, mine, line = ours(x)
        best["embedded"] = [min(a, b) for a, b in zip(best["embedded"], spent)]
    reference = scores["onnxruntime"]
    apart = np.abs(mine - reference).max() / np.abs(reference).max()
    flips = (mine.argmax(1) != reference.argmax(1)).mean() if mine.ndim > 2 and mine.shape[1] > 1 else 0.0
    print(f"{Path(model).stem} {shape}: difference {apart:.1e}, argmax differs {flips:.1e}")
    for what, index in ("wall", 0), ("processor", 1):
        times = ", ".join(f"{name} {value[index]:.0f} ms" for name, value in best.items())
        ratios = ", ".join(f"{best['embedded'][index] / best[name][index]:.2f}x {name}" for name in peers)
        print(f"  {what}: {times}; {ratios}")
    print(f"  {line}")
    compare_memory(ours, model, shape, threads)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bf16", action="store_true")
    arguments = parser.parse_args()
    program = build()
    for model, shape in zip(arguments.cases[::2], arguments.cases[1::2]):
        compare(program, model, [int(n) for n in shape.split(",")], arguments)


if __name__ == "__main__":
    main()
