"""No argument reaches a panic, and nothing leaks."""

from __future__ import annotations

import gc
import inspect
import os
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import unet_vol

ARRAYS = st.sampled_from(
    [
        np.zeros((0, 3, 4)),
        np.zeros((1, 1, 1)),
        np.full((3, 4, 5), np.nan),
        np.full((3, 4, 5), np.inf, np.float32),
        np.arange(60, dtype=">i2").reshape(3, 4, 5),
        np.ones((3, 4), int),
        np.ones((2, 3, 4, 5)),
        np.ones((3, 4, 5, 1), bool),
        np.array("text"),
        np.array([[[None]]]),
        np.full((2, 2, 2), 2**40),
        np.full((2, 2, 2), -1, np.int8),
        np.ones((2, 2, 2), np.complex64),
    ]
)
AFFINES = st.sampled_from(
    [np.eye(4), np.zeros((4, 4)), np.full((4, 4), np.nan), np.eye(3), np.diag([1e300, 1e-300, 1, 1]), "x", None]
)
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["RAS", "nearest", "cubic", ".", "/nowhere/x.nii", "brain-mri", b"\x00", object()]),
    ARRAYS,
    AFFINES,
    st.tuples(ARRAYS, AFFINES),
    st.lists(st.integers(-5, 9), max_size=4),
    st.tuples(st.floats(), st.floats(), st.floats()),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)
FUNCTIONS = [
    unet_vol.connected_components,
    unet_vol.dice,
    unet_vol.evaluate,
    unet_vol.fill_holes,
    unet_vol.hd95,
    unet_vol.instances,
    unet_vol.largest_component,
    unet_vol.normalize,
    unet_vol.postprocess,
    unet_vol.read,
    unet_vol.read_dicom,
    unet_vol.read_labels,
    unet_vol.reorient,
    unet_vol.resample,
    unet_vol.surface_dice,
    unet_vol.tiles,
    unet_vol.tiled,
    unet_vol.triage,
    unet_vol.convert,
    unet_vol.write,
    unet_vol.Image,
]


def attempt(call: Any, *args: Any, **kwargs: Any) -> None:
    """Calls; any exception will do, a panic is none: it is a BaseException."""
    try:
        call(*args, **kwargs)
    except Exception:
        pass


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.filterwarnings("ignore")
def test_random_arguments_never_panic(
    function: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [name for name, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY]
    first = sum(p.kind is not p.KEYWORD_ONLY for p in inspect.signature(function).parameters.values())
    head = st.tuples(st.tuples(ARRAYS, AFFINES) | ARRAYS | ODD, *[ODD] * (min(first, 3) - 1))

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(head, st.dictionaries(st.sampled_from(names or ["none"]), ODD, max_size=2))
    def hunt(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        attempt(function, *args, **kwargs)

    hunt()


@pytest.mark.filterwarnings("ignore")
def test_random_native_arguments_never_panic() -> None:
    """Behind the checks of the Python side."""
    from unet_vol import _native

    big = [2**62, 2**62, 2**62]
    for shape in ([0, 1, 1], big, [1, 1, 2**40]):
        attempt(_native.Layout, '{"method": "whole"}', shape, None, 1)
        attempt(_native.Layout, '{"method": "sliding-window", "patch": [2, 2, 2]}', shape, None, 2**40)
        attempt(_native.Source, None, shape, np.eye(4), True, (b"", True, []))
    layout = _native.Layout('{"method": "whole"}', (4, 4, 4), None, 1)
    for first, count in ((0, 0), (0, 2**63), (2**63, 2**63), (5, 1)):
        attempt(layout.gather, [np.zeros((4, 4, 4), np.float32, order="F")], first, count)
    for classes in (0, 1, 2**62):
        attempt(layout.stitch, classes)
    sums = layout.stitch(2)
    for shape in ((1, 2, 4, 4), (1, 2, 4, 4, 4), (1, 2, 4, 4, 4), (0, 2, 4, 4, 4), (2, 2, 4, 4, 4)):
        attempt(sums.add, np.zeros(shape, np.float32))
    attempt(sums.finish)
    attempt(sums.finish)
    header = bytes(348)
    source = _native.Source(None, (4, 4, 4), np.eye(4), True, (header, False, [(2**31 - 1, b"x")]))
    for wrong in (source, _native.Source(None, (9, 9, 9), np.eye(4), False, (os.urandom(540), True, []))):
        labels = np.ones((4, 4, 4), np.uint16)
        attempt(_native.write_labels, "/nowhere/a.nii", labels, np.eye(4), "[]", wrong, True)
        attempt(_native.write_labels, "/dev/null", labels, np.eye(4), "{", wrong, True)


def resident() -> int:
    """Bytes of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_a_thousand_calls_leave_memory_as_it_was(head: Path) -> None:
    array = np.random.default_rng(1).integers(0, 3, (24, 24, 24)).astype(np.uint8)
    image = (array, np.eye(4))
    pipeline = unet_vol.Pipeline.from_predictor(
        lambda x: np.concatenate([x, 1 - x], axis=1),
        {"schema": 1, "name": "x", "labels": [{"class": 1, "id": 1, "name": "a"}]},
    )

    def calls(count: int) -> None:
        for _ in range(count):
            unet_vol.resample(image, spacing=(0.9, 0.9, 0.9))
            unet_vol.reorient(image, "LPS")
            unet_vol.connected_components(array)
            unet_vol.dice(array, array)
            unet_vol.hd95(array, array)
            unet_vol.normalize(array)
            pipeline(image).to_image()
            attempt(unet_vol.read, "/nowhere")

    calls(200)
    gc.collect()
    before = resident()
    calls(800)
    gc.collect()
    assert resident() - before < 24 * 2**20
