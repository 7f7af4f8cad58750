"""Speed and memory beside the programs that people use today: one table, from one run, whose measurements alternate.

    python tests/bench/vs_peers.py [--rounds 3] [--threads 2] [--only TEXT,...] [--head FILE] [--json FILE]

Every measurement is a process of its own; README.md beside this file says what each row means. Needs `cargo build --release --benches`
and the packages of tests/oracle/requirements.txt; other peers are timed where this Python can import them.
"""

import argparse
import functools
import importlib.metadata
import json
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import networks
from run import HERE, ROOT, Failed, Measurement, Row, cold, environment, inner, process

MIB = 2**20
SPEC, MODEL = (ROOT / "src/model/weights" / name for name in ("brain-mri.toml", "brain-mri.onnx"))
PACKAGES = ["numpy", "scipy", "nibabel", "indexed_gzip", "SimpleITK", "highdicom", "connected-components-3d", "fill-voids"]
PACKAGES += ["surface-distance", "MedPy", "onnxruntime", "openvino", "torch", "monai"]
SECTIONS = ["files", "dicom", "resampling", "labels", "components", "whole", "networks"]
ENGINES = ("embedded", "onnxruntime", "openvino")


class Suite:
    """All rows, for one folder of inputs."""

    def __init__(self, folder, threads, rounds, programs):
        self.folder, self.threads, self.rounds, self.programs = folder, threads, rounds, programs
        self.floors = {}

    # How each side is run

    def stage(self, name, *more):
        program = self.programs["stages"]
        return lambda: inner([program, name, self.folder, "--threads", self.threads, *more], self.threads)

    def peer(self, stage, peer, *more):
        command = [sys.executable, HERE / "peers.py", stage, peer, self.folder, "--threads", self.threads, *more]
        return lambda: inner(command, self.threads)

    def against(self, title, stage, peers, floor=None, note=None):
        out = self.folder / "ours.raw"
        ours = self.stage(stage, "--output", out)
        return Row(title, ours, {p: self.peer(stage, p, "--ours", out) for p in peers}, floor, note or agreement)

    # What the machine allows

    def measure_floors(self):
        for name in ("triad", "inflate", "deflate"):
            self.floors[name] = self.stage(name)()
        bandwidth = self.floors["triad"].record["bytes_per_second"]
        print(f"memory: triad {bandwidth / 1e9:.1f} GB/s on {self.threads} threads")
        for peer in ("numpy", "torch"):
            try:
                rate = self.peer("sgemm", peer)().record["gflops_per_core"]
                print(f"arithmetic: {peer} multiplies matrices of 2048^2 at {rate:.0f} GFLOP/s per core (fp32)")
            except Failed as reason:
                print(f"arithmetic: {peer} {reason}")

    def moved(self, mib):
        return mib * MIB / self.floors["triad"].record["bytes_per_second"]

    # Rows

    def files(self):
        readers = ["nibabel", "nibabel + indexed_gzip", "SimpleITK"]
        inflate, deflate = (self.floors[name].wall for name in ("inflate", "deflate"))
        yield self.against("read 256^3 int16 .nii.gz as f32", "read", readers, inflate)
        yield self.against("read 256^3 labels .nii.gz", "read-labels", readers)
        yield self.against("write 256^3 labels .nii.gz", "write-labels", ["nibabel", "SimpleITK"], deflate, sizes)
        yield self.against("write 32 labels 256^3 as DICOM SEG", "write-seg", ["highdicom"], None, sizes)

    def dicom(self):
        """Series of 390 slices to memory (dcm2niix: to a file), whole `convert`s, and looking through 10,000 files."""
        series = networks.SHARED / "data/dicom/series/mr_t1_ge_head_jpll"
        if not series.exists():
            print("left out: the series is not there")
            return
        script, folder, program = HERE / "dicom_peers.py", self.folder / "dicom", self.programs["unet-vol"]
        process([sys.executable, script, "make", series, folder], self.threads)
        peer = lambda *what: lambda: inner([sys.executable, script, *what], self.threads)
        dcm2niix = Path(sys.executable).parent / "dcm2niix"
        for name, title in (("plain", "uncompressed"), ("lossless", "JPEG lossless")):
            data, out = folder / name, folder / f"{name}.nii"
            ours = [program, "convert", data, "-o", out, "--overwrite", "--quiet"]
            theirs = [dcm2niix, "-b", "n", "-z", "n", "-w", "1", "-f", f"{name}_dcm2niix", "-o", folder, data]
            peers = {"dcm2niix": lambda c=theirs: cold(c, self.threads), "SimpleITK": peer("read", "SimpleITK", data)}
            yield Row(f"read 390 slices, {title}", self.stage(f"read-{name}"), peers, note=lambda row: "")
            peers = {"dcm2niix": peers["dcm2niix"]}
            yield Row(f"convert 390 slices, {title}", lambda c=ours: cold(c, self.threads), peers, note=lambda row: "")
        tree = folder / "tree"
        ours = lambda: cold([program, "info", tree, "--quiet"], self.threads)
        yield Row("triage of 10,000 files", ours, {"pydicom": peer("triage", "pydicom", tree)}, note=lambda row: "")

    def resampling(self):
        three = ["scipy", "SimpleITK", "torch"]
        resample = functools.partial(self.against, floor=self.moved(64 + 27))
        yield resample("linear 256^3 to 192^3, aligned", "linear", three)
        yield resample("linear 256^3 to 192^3, oblique", "oblique", three)
        yield resample("cubic 256^3 to 192^3, aligned", "cubic", ["scipy", "SimpleITK"])

    def labels(self):
        scores = 33 * 96 * 112 * 96 * 4 / MIB + 192 * 224 * 192 * 2 / MIB
        title = "33 scores 96x112x96 to labels 192x224x192"
        yield self.against(title, "decide", ["scipy", "torch"], self.moved(scores))

    def components(self):
        """The table of components_vs_peers.py: wall seconds on one thread."""
        command = [sys.executable, HERE / "components_vs_peers.py", "--json", "--program", self.programs["components"]]
        command += ["--rounds", self.rounds]
        found = json.loads(process(command, 1)[0])
        timed = lambda seconds: lambda: Measurement(seconds, seconds, float("nan"))
        for step, ours in found["ours"].items():
            peers = {peer: timed(seconds) for peer, seconds in found["peers"].get(step, {}).items()}
            floor = self.moved(16) if step.startswith("components") else None
            yield Row(step, timed(ours), peers, floor, lambda row: "")

    def whole(self):
        """Whole commands, from a cold process."""
        head, program = self.folder / "head.nii.gz", self.programs["unet-vol"]
        yield Row("unet-vol --version", lambda: cold([program, "--version"], self.threads), {}, 0.02, versions)
        ours = self.folder / "segment.nii.gz"
        monai = [sys.executable, HERE / "monai_segment.py", head, self.folder / "monai.nii.gz"]
        monai += ["--model", MODEL, "--spec", SPEC, "--threads", self.threads]
        run = lambda *more: lambda: cold([*monai, *more], self.threads)
        peers = {"MONAI": run(), "MONAI, labels by nearest": run("--nearest")}
        for engine in ENGINES:
            command = [program, "segment", head, "-o", ours, "--engine", engine, "--threads", self.threads, "--overwrite"]
            command += ["--stats", f"{ours}.csv", "--preview", f"{ours}.png", "--manifest", f"{ours}.json", "--quiet"]
            segment = lambda command=command: with_manifest(cold(command, self.threads), Path(f"{ours}.json"))
            row = Row(f"segment 256^3, {engine} fp32", segment, peers, note=stages)
            yield row
            # The other engines are compared with the same runs of the peers.
            peers = {name: lambda m=m: m for name, m in row.measured.items() if name != "ours"}
        yield Row("segment 256^3 beside the network", self.stage("beside"), {}, 0.5, stages)

        checks = ["--check", ours] if ours.exists() and peers else ["--check"]
        try:
            print("\nMONAI's run beside ours: " + process([*monai, *checks], self.threads)[0])
        except Failed as reason:
            print(f"\nMONAI: {reason}")

    def networks(self):
        for name, (shape, aims) in networks.CASES.items():
            model, x, out = (self.folder / f"{name}.{end}" for end in ("onnx", "f32", "out"))
            if not model.exists():
                print(f"{name}: left out, its file is not there")
                continue
            text = ",".join(map(str, shape))
            for precision in ("f32", "bf16") if name == "brain-mri" else ("f32",):
                ours = functools.partial(self.engine, model, text, x, out, precision)
                more = ["--ours", out, "--model", model, "--input", x, "--shape", text]
                peers = {"openvino": self.peer("network", "openvino", *more, "--precision", precision)}
                if precision == "f32":
                    peers["onnxruntime"] = self.peer("network", "onnxruntime", *more)
                if name == "brain-mri" and precision == "f32":
                    peers["torch"] = self.peer("network", "torch", *more)
                size = "x".join(map(str, shape[2:])) + (f", batch {shape[0]}" if shape[0] > 1 else "")
                note = functools.partial(rates, aims=aims if precision == "f32" else (None, aims[1]))
                yield Row(f"{name} {size} {precision.replace('f32', 'fp32')}", ours, peers, note=note)

    def engine(self, model, shape, x, out, precision):
        """The embedded engine, by the bench program `engine`."""
        command = [self.programs["engine"], model, shape, "--threads", self.threads, "--rounds", 2, "--input", x]
        command += ["--output", out] + ["--bf16"] * (precision == "bf16")
        line, outer = process(command, self.threads)
        number = lambda key: float(re.search(rf"(?<!\w){key} ([\d.]+)", line)[1])
        record = {"rate": number("gflops_per_core"), "plan_mib": number("working_mib")}
        return Measurement(number("ms") / 1e3, number("cpu_ms") / 1e3, outer.peak_mib, record)


# What the last column says


def agreement(row):
    """The farthest peer's difference to our result."""
    parts = [f"{name} {m.record['apart']:.0e}" for name, m in row.measured.items() if m.record.get("apart")]
    return "apart: " + ", ".join(parts) if parts else "equal" if row.best_peer() else ""


def sizes(row):
    return ", ".join(f"{name} {m.record['bytes'] / 1000:.0f} kB" for name, m in row.measured.items())


def versions(row):
    return "" if "ours" not in row.measured else f"{row.measured['ours'].wall * 1e3:.1f} ms"


def stages(row):
    parts = []
    for name, m in row.measured.items():
        spent = ", ".join(f"{stage} {seconds:.3f}" for stage, seconds in m.record.get("stages", {}).items())
        parts += [f"{name}: {spent}"] if spent else []
    return "; ".join(parts)


def rates(row, aims):
    ours = row.measured.get("ours")
    if ours is None:
        return ""
    text = [f"{ours.record['rate']:.0f} GFLOP/s per core"]
    for peer, aim in zip(("onnxruntime", "openvino"), aims):
        if aim and peer in row.measured:
            text.append(f"{peer} {ours.wall / row.measured[peer].wall:.2f} (aim {aim})")
    if "onnxruntime" in row.measured:
        text.append(f"memory {ours.peak_mib / row.measured['onnxruntime'].peak_mib:.2f} of onnxruntime (aim 0.7)")
    return ", ".join([*text, agreement(row)])


def with_manifest(measurement, path):
    measurement.record["stages"] = {s["stage"]: s["seconds"] for s in json.loads(path.read_text())["seconds"]}
    return measurement


# The table


def line(row):
    ours, best = row.measured.get("ours"), row.best_peer()
    seconds = lambda value: f"{value:.4f}" if value < 0.1 else f"{value:.2f}"
    mib = lambda m: "" if m.peak_mib != m.peak_mib else f"{m.peak_mib:.0f}"
    three = lambda m: [seconds(m.wall), seconds(m.cpu), mib(m)] if m else ["", "", ""]
    cells = [row.name, *three(ours), best or "", *three(row.measured.get(best))]
    if ours and best:
        peer = row.measured[best]
        cells += [f"{ours.wall / peer.wall:.2f}", f"{ours.cpu / peer.cpu:.2f}"]
    else:
        cells += ["", ""]
    others = [f"{ours.wall / m.wall:.2f} {n}" for n, m in row.measured.items() if ours and n not in ("ours", best)]
    others += [f"{name}: {reason}" for name, reason in row.failed.items()]
    cells += [", ".join(others), f"{row.floor:.4f}" if row.floor else "", row.note(row)]
    return "| " + " | ".join(cells) + " |"


HEADER = ["", "ours s", "CPU s", "MiB", "best peer", "s", "CPU s", "MiB", "ratio", "CPU ratio", "other ratios", "floor s", ""]


def header(threads):
    """Versions and settings."""
    have = lambda name: importlib.metadata.version(name)
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {have(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} not installed")
    print(f"{platform.machine()}, {processor()}, {threads} threads for all; ratios below 1: we take less")
    print("peers: Python " + platform.python_version() + ", " + ", ".join(found))
    blas = "import numpy, threadpoolctl as t; print([(i['internal_api'], i.get('architecture')) for i in t.threadpool_info()])"
    try:
        print("numpy's BLAS:", process([sys.executable, "-c", blas], threads)[0])
    except Failed:
        print("numpy's BLAS: threadpoolctl is not installed")
    settings = {name: value for name, value in environment(threads).items() if "THREADS" in name}
    print("settings:", ", ".join(f"{name}={value}" for name, value in settings.items()))


def processor():
    try:
        return re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1]
    except (OSError, TypeError):
        return platform.processor()


def build():
    """The programs by name."""
    command = ["cargo", "build", "--release", "--locked", "--benches", "--bins", "--message-format=json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return {m["target"]["name"]: m["executable"] for m in map(json.loads, lines) if m.get("executable")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default=SECTIONS, type=lambda text: text.split(","), help=", ".join(SECTIONS))
    parser.add_argument("--head", default=networks.SHARED / "data/brain/t1_crop.nii.gz", type=Path, help="the study to segment")
    parser.add_argument("--json", type=Path, help="all numbers, for programs")
    a = parser.parse_args()
    header(a.threads)
    programs = build()
    with tempfile.TemporaryDirectory(prefix="unet-vol-bench-") as folder:
        folder = Path(folder)
        process([sys.executable, HERE / "inputs.py", folder, *([a.head] if a.head.exists() else [])], a.threads)
        process([sys.executable, HERE / "networks.py", folder], a.threads)
        suite = Suite(folder, a.threads, a.rounds, programs)
        print(f"study: {a.head.name if a.head.exists() else 'made from testdata/synthetic_head.nii.gz'}")
        suite.measure_floors()
        records = []
        for section in a.only:
            print(f"\n**{section}**\n\n| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}")
            for row in getattr(suite, section)():
                print(line(row.measure(a.rounds)), flush=True)
                records.append({"section": section, "name": row.name, "floor": row.floor, "failed": row.failed}
                               | {"measured": {name: vars(m) for name, m in row.measured.items()}})
        if a.json:
            a.json.write_text(json.dumps(records, indent=1))


if __name__ == "__main__":
    main()
