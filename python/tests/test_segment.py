"""Segmenting from files and memory, and the manners of a library."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import unet_vol
from conftest import shared

SPEC = {"schema": 1, "name": "threshold", "labels": [{"class": 1, "id": 7, "name": "bright"}]}


def threshold(patches: np.ndarray) -> np.ndarray:
    """Scores 0.5 for background and the intensity for `bright`."""
    return np.concatenate([np.full_like(patches, 0.5), patches], axis=1)


def test_a_head_is_segmented(segmentation: unet_vol.Segmentation, head: Path, tmp_path: Path) -> None:
    labels = segmentation.labels
    assert labels.dtype == np.uint16 and labels.flags.f_contiguous and not labels.flags.writeable
    hippocampus = next(row for row in segmentation.statistics if row.id == 17)
    assert hippocampus.ml > 1.0 and hippocampus.voxels == segmentation.mask(17).sum()
    assert segmentation.mask(hippocampus.name).sum() == hippocampus.voxels
    files = {name: tmp_path / f"a.{name}" for name in ("csv", "png", "json", "txt", "mask.nii.gz")}
    certificate = segmentation.save(
        tmp_path / "a.nii.gz",
        statistics=files["csv"],
        preview=files["png"],
        manifest=files["json"],
        color_table=files["txt"],
        brain_mask=files["mask.nii.gz"],
    )
    assert certificate["largest_error_mm"] < 1e-3
    assert all(path.stat().st_size > 0 for path in files.values())
    assert json.loads(files["json"].read_text())["output"]["sha256"] == segmentation.manifest["output"]["sha256"]
    back = unet_vol.read_labels(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(back.array, labels)
    assert back.table is not None and len(back.table) == len(segmentation.table)
    with pytest.raises(FileExistsError):
        segmentation.save(tmp_path / "a.nii.gz")


def test_the_command_gives_the_same_bytes(segmentation: unet_vol.Segmentation, head: Path, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.nii.gz", tmp_path / "theirs.nii.gz"
    segmentation.save(ours)
    command = [sys.executable, "-m", "unet_vol", "segment", str(head), "-o", str(theirs), "--engine", "embedded", "-q"]
    subprocess.run(command, check=True)
    assert ours.read_bytes() == theirs.read_bytes()
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 2 and "the output exists already" in refused.stderr


def test_memory_and_files_give_the_same_labels(
    pipeline: unet_vol.Pipeline, segmentation: unet_vol.Segmentation, head: Path
) -> None:
    nibabel = pytest.importorskip("nibabel")
    for image in (unet_vol.read(head), tuple(unet_vol.read(head)), nibabel.load(head)):
        again = pipeline(image)
        np.testing.assert_array_equal(again.labels, segmentation.labels)
    theirs = again.to_nibabel()
    np.testing.assert_array_equal(np.asarray(theirs.dataobj), segmentation.labels)
    assert int(theirs.header["sform_code"]) == int(nibabel.load(head).header["sform_code"])


def test_pickle_and_other_labels(segmentation: unet_vol.Segmentation, tmp_path: Path) -> None:
    back = pickle.loads(pickle.dumps(segmentation))
    np.testing.assert_array_equal(back.labels, segmentation.labels)
    assert back.statistics == segmentation.statistics and back.table == segmentation.table
    assert back.save(tmp_path / "a.nii.gz")["largest_error_mm"] < 1e-3
    files = {"statistics": "csv", "color_table": "txt", "brain_mask": "nii.gz"}
    segmentation.save(tmp_path / "run.nii.gz", **{n: tmp_path / f"run-{n}.{end}" for n, end in files.items()})
    back.save(**{n: tmp_path / f"back-{n}.{end}" for n, end in files.items()}, manifest=tmp_path / "m.json")
    for name, end in files.items():
        run, again = (tmp_path / f"{which}-{name}.{end}" for which in ("run", "back"))
        assert run.read_bytes() == again.read_bytes(), name
    assert json.loads((tmp_path / "m.json").read_text())["labels"] == segmentation.manifest["labels"]
    with pytest.raises(FileExistsError):
        back.save(tmp_path / "new.nii.gz", statistics=tmp_path / "run-statistics.csv")
    assert not (tmp_path / "new.nii.gz").exists()
    with pytest.raises(unet_vol.UsageError, match="preview"):
        back.save(tmp_path / "b.nii.gz", preview=tmp_path / "b.png")
    assert "<img" in segmentation._repr_html_() and "<img" not in back._repr_html_()
    other = segmentation.with_labels(segmentation.mask(17))
    other.save(tmp_path / "c.nii.gz")
    np.testing.assert_array_equal(unet_vol.read_labels(tmp_path / "c.nii.gz").array, segmentation.labels == 17)
    with pytest.raises(ValueError):
        segmentation.labels[0, 0, 0] = 1


def test_probabilities_are_kept_on_request(rng: np.random.Generator) -> None:
    pipeline = unet_vol.Pipeline.from_predictor(threshold, SPEC, probabilities=True)
    image = rng.uniform(size=(8, 9, 10)).astype(np.float32)
    result = pipeline((image, np.eye(4)))
    np.testing.assert_array_equal(result.labels, np.where(image > 0.5, 7, 0))
    assert result.probability("bright").shape == image.shape
    with pytest.raises(unet_vol.UsageError):
        result.probability("dark")


def test_instances_are_numbered_on_request(tmp_path: Path) -> None:
    pipeline = unet_vol.Pipeline.from_predictor(threshold, SPEC, instances=True)
    image = np.zeros((9, 8, 7), np.float32)
    image[1:3, 1, 1] = image[5, 5:8, 5] = 1.0
    result = pipeline((image, np.eye(4)))
    wanted = unet_vol.instances(result.labels)
    assert result.instances is not None and result.instances.objects == wanted.objects and len(wanted.objects) == 2
    np.testing.assert_array_equal(result.instances.labels, wanted.labels)
    assert repr(wanted) == "Instances(2 objects in 9 x 8 x 7 voxels)"
    result.save(tmp_path / "labels.nii.gz", instances=tmp_path / "i.nii.gz")
    np.testing.assert_array_equal(unet_vol.read_labels(tmp_path / "i.nii.gz").array, wanted.labels)
    assert pickle.loads(pickle.dumps(result)).instances.objects == wanted.objects
    assert result.with_labels(result.labels).instances is None
    plain = unet_vol.Pipeline.from_predictor(threshold, SPEC)((image, np.eye(4)))
    assert plain.instances is None
    with pytest.raises(unet_vol.UsageError):
        plain.save(tmp_path / "other.nii.gz", instances=tmp_path / "j.nii.gz")
    assert not (tmp_path / "other.nii.gz").exists()


def test_both_sides_are_averaged_on_request() -> None:
    def leans(patches: np.ndarray) -> np.ndarray:
        bright = patches * np.linspace(0.0, 1.0, patches.shape[-1], dtype=np.float32)
        return np.concatenate([np.full_like(patches, 0.45), bright], axis=1)

    image = (np.ones((10, 6, 6), np.float32), np.eye(4))
    spec = {**SPEC, "mirror": {"swap": []}}
    alone, both = (unet_vol.Pipeline.from_predictor(leans, spec, tta=tta)(image).labels for tta in (False, True))
    assert (alone[:4] == 0).all() and (both == 7).all()


def test_exceptions_of_a_predictor_come_through() -> None:
    def fails(patches: np.ndarray) -> np.ndarray:
        raise LookupError("no weights")

    image = (np.ones((8, 8, 8)), np.eye(4))
    with pytest.raises(LookupError, match="no weights"):
        unet_vol.Pipeline.from_predictor(fails, SPEC)(image)
    with pytest.raises(unet_vol.ModelError, match="expected"):
        unet_vol.Pipeline.from_predictor(lambda x: x, SPEC)(image)


def test_progress_is_told_and_an_exception_in_it_stops_the_work(pipeline: unet_vol.Pipeline, head: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    pipeline.segment(head, progress=lambda *step: seen.append(step))
    assert [stage for stage, done, total in seen if done == total] == ["read", "prepare", "network", "postprocess"]

    def stop(stage: str, done: int, total: int) -> None:
        raise StopIteration(stage)

    with pytest.raises(StopIteration):
        pipeline.segment(head, progress=stop)
    pytest.importorskip("tqdm")
    pipeline.segment(head, progress="tqdm")


def test_two_threads_segment_at_once() -> None:
    """Each predictor waits for the other: with the GIL held, or one run at a time, this would not end."""
    barrier = threading.Barrier(2, timeout=20)

    def meets(patches: np.ndarray) -> np.ndarray:
        barrier.wait()
        return threshold(patches)

    pipelines = [unet_vol.Pipeline.from_predictor(meets, SPEC, threads=1) for _ in range(2)]
    results: list[object] = []
    image = (np.ones((8, 8, 8)), np.eye(4))
    threads = [threading.Thread(target=lambda p=p: results.append(p(image))) for p in pipelines]
    [thread.start() for thread in threads]
    [thread.join(30) for thread in threads]
    assert len(results) == 2


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_the_gil_is_free_and_ctrl_c_stops_the_work(head: Path, tmp_path: Path) -> None:
    script = f"""
import os, signal, threading, time, unet_vol
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
ticks = []
def tick():
    while True:
        ticks.append(time.perf_counter())
        time.sleep(0.002)
threading.Thread(target=tick, daemon=True).start()
tiling = {{"method": "sliding-window", "patch": [32, 32, 32], "overlap": 0.9}}
pipeline = unet_vol.Pipeline.brain_mri(engine="embedded", tiling=tiling)
def on_tile(stage, done, total):
    if stage == "network" and done == 3:
        os.kill(os.getpid(), signal.SIGINT)
start = len(ticks)
begun = time.perf_counter()
try:
    pipeline.segment({str(head)!r}, progress=on_tile)
    print("finished")
except KeyboardInterrupt:
    print("stopped", len(ticks) - start, time.perf_counter() - begun)
pipeline2 = unet_vol.Pipeline.brain_mri(engine="embedded")
print(pipeline2({str(head)!r}).is_empty, threading.active_count())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=200, cwd=tmp_path)
    first, second = done.stdout.splitlines()
    assert first.startswith("stopped"), done.stdout + done.stderr
    assert int(first.split()[1]) >= 3
    assert second == "False 2"
    assert list(tmp_path.iterdir()) == []


def _in_child(queue: multiprocessing.Queue, pipeline: unet_vol.Pipeline | None) -> None:
    try:
        image = (np.ones((8, 8, 8)), np.eye(4))
        # On this thread, and on others.
        stages = unet_vol.resample(image, spacing=(2, 2, 2)).shape, unet_vol.resample(image, shape=(16, 16, 16)).shape
        refused = ""
        if pipeline is not None:
            try:
                pipeline(image)
            except unet_vol.UsageError as error:
                refused = str(error)
        fresh = unet_vol.Pipeline.from_predictor(threshold, SPEC)(image).labels.max()
        queue.put((stages, refused, int(fresh)))
    except BaseException as error:
        queue.put(repr(error))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_a_forked_child_works_with_threads_of_its_own() -> None:
    image = (np.ones((8, 8, 8)), np.eye(4))
    pipeline = unet_vol.Pipeline.from_predictor(threshold, SPEC)
    pipeline(image)
    unet_vol.resample(image, spacing=(2, 2, 2))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue, pipeline))
    child.start()
    stages, refused, fresh = queue.get(timeout=60)
    child.join(20)
    assert stages == ((4, 4, 4), (16, 16, 16)) and "fork" in refused and fresh == 7


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(
    "call",
    [
        "resample((f, e), shape=(600, 600, 600), method='cubic')",
        "resample((f, turned), like=(np.broadcast_to(f[:1, :1, :1], (450, 450, 450)), e), method='cubic')",
        "connected_components(noise)",
        "instances(noise)",
        "fill_holes(noise)",
        "surface_dice(noise, noise[::-1], surface='sub-voxel')",
        "evaluate((noise, e), (noise[::-1], e))",
    ],
)
def test_ctrl_c_stops_a_stage_midway(call: str, tmp_path: Path) -> None:
    script = f"""
import os, signal, threading, time, numpy as np, unet_vol
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
f = np.asfortranarray(np.random.default_rng(0).normal(size=(300, 300, 300)).astype(np.float32))
noise = np.asfortranarray(np.tile(f > 0.5, (2, 1, 1)).astype(np.uint8))
e = np.eye(4)
turned = np.array([[0.3, -0.1, 0, 0], [0.1, 0.3, 0.05, 0], [0, -0.05, 0.3, 0], [0, 0, 0, 1.0]])
sent = []
def send():
    sent.append(time.process_time())
    os.kill(os.getpid(), signal.SIGINT)
threading.Timer(0.1, send).start()
try:
    unet_vol.{call}
    print("finished")
except KeyboardInterrupt:
    print("stopped", time.process_time() - sent[0])
print(unet_vol.dice(noise[:8], noise[:8]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=200, cwd=tmp_path)
    first, second = done.stdout.splitlines()
    assert first.startswith("stopped"), done.stdout + done.stderr
    # Seconds of the processor, of which others may have most; whole, each call takes several.
    assert float(first.split()[1]) < 1.0 and second == "1.0"


def test_the_hippocampus_model_marks_both_parts_of_one() -> None:
    pipeline = unet_vol.Pipeline.hippocampus(engine="embedded")
    assert [label.name for label in pipeline.table] == ["anterior hippocampus", "posterior hippocampus"]
    folder = shared() / "hippocampus"
    for image in sorted((folder / "images").glob("*.nii.gz"))[:3]:
        found = pipeline(image)
        truth = unet_vol.read_labels(folder / "labels" / image.name)
        assert found.labels.shape == truth.shape
        assert unet_vol.dice(found.labels, truth) > 0.8


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, head: Path) -> None:
    handled = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    script = f"{handled}import unet_vol, numpy as np\nunet_vol.write('a.nii.gz', (np.random.rand(300, 300, 300), np.eye(4)))"
    child = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not list(tmp_path.iterdir()) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    child.send_signal(signal.SIGINT)
    child.wait(60)
    left = [path.name for path in tmp_path.iterdir()]
    assert left in ([], ["a.nii.gz"])
    if left:
        unet_vol.read(tmp_path / "a.nii.gz")


def test_a_batch_goes_over_a_tree(tmp_path: Path, rng: np.random.Generator) -> None:
    pipeline = unet_vol.Pipeline.from_predictor(threshold, SPEC, instances=True)
    for name in ("a", "b"):
        (tmp_path / "in" / name).mkdir(parents=True)
        unet_vol.write(tmp_path / "in" / name / "x.nii.gz", (rng.uniform(size=(6, 7, 8)), np.eye(4)))
    (tmp_path / "in" / "c.nii").write_bytes(b"nothing")
    steps: list[tuple[str, int, int]] = []
    entries = unet_vol.batch(
        tmp_path / "in",
        tmp_path / "out",
        pipeline,
        statistics=True,
        instances=True,
        progress=lambda *step: steps.append(step),
    )
    assert sorted(entry.status for entry in entries) == ["done", "done", "failed"]
    assert len(steps) == 3 and (tmp_path / "out" / "a" / "x_seg.nii.gz").exists()
    assert (tmp_path / "out" / "a" / "x_instances_seg.nii.gz").exists()
    with pytest.raises(unet_vol.UsageError):
        unet_vol.batch(tmp_path / "in", tmp_path / "out", pipeline)
    reports, _ = unet_vol.evaluate_folders(tmp_path / "out" / "a", tmp_path / "out" / "a")
    assert reports["x_seg.nii.gz"].mean.dice == 1.0


def test_wrong_calls_are_told_in_a_sentence(pipeline: unet_vol.Pipeline, head: Path) -> None:
    for wrong in (
        lambda: pipeline.segment(),
        lambda: pipeline.segment(head, head),
        lambda: pipeline.segment(3),
        lambda: pipeline.segment(head, volume=-1),
        lambda: pipeline.segment(head, assume_orientation="XYZ"),
        lambda: unet_vol.Pipeline("brain-mri", device="tpu"),
        lambda: unet_vol.Pipeline("brain-mri", labels=["Nose"]),
        lambda: unet_vol.Pipeline("brain-mri", spec="x.toml"),
        lambda: pipeline.segment((np.ones((4, 4)), np.eye(4))),
        lambda: pipeline.segment((np.ones((4, 4, 4), complex), np.eye(4))),
        lambda: pipeline.segment((np.ones((4, 4, 4)), np.zeros((4, 4)))),
    ):
        with pytest.raises(unet_vol.UnetVolError) as caught:
            wrong()
        assert str(caught.value)
    with pytest.raises(unet_vol.ModelError):
        unet_vol.segment(head, model="no-such-model")
    with pytest.raises(TypeError):
        pickle.dumps(pipeline)
