# What python/src has; `python -m mypy.stubtest unet_vol._native` compares the two.
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, TypedDict, final

import numpy as np
from numpy.typing import NDArray

__version__: str

_Path = str | PathLike[str]
_Float32 = NDArray[np.float32]
_Float64 = NDArray[np.float64]
_UInt16 = NDArray[np.uint16]
_Warnings = list[tuple[str, str]]
_Progress = Callable[[str, int, int], object]

class Reading(TypedDict):
    volume: int | None
    series: str | None
    assume_orientation: str | None
    on_gap: str

class Target(TypedDict):
    spacing: tuple[float, float, float] | None
    shape: tuple[int, int, int] | None
    affine: _Float64 | None
    rule: str

class Settings(TypedDict):
    engine: str
    device: str
    precision: str
    reproducible: bool
    threads: int
    onnxruntime: _Path | None
    openvino: _Path | None
    max_bytes: int | None
    labels: list[str]
    probabilities: bool
    tiling: str | None
    postprocess: str | None

class Study(TypedDict):
    array: NDArray[Any]
    affine: _Float64
    source: Source
    warnings: _Warnings

class Segmented(TypedDict):
    labels: _UInt16
    affine: _Float64
    image: _Float32 | None
    source: Source
    table: str
    statistics: str
    statistics_csv: str
    color_table: str
    manifest: str
    brain: list[int] | None
    probabilities: Probabilities | None
    warnings: _Warnings

@final
class Source:
    def __new__(
        cls,
        path: _Path | None,
        shape: tuple[int, int, int],
        affine: _Float64,
        oriented: bool,
        nifti: tuple[bytes, bool, list[tuple[int, bytes]]] | None,
    ) -> Source: ...
    @property
    def path(self) -> str | None: ...
    @property
    def oriented(self) -> bool: ...
    @property
    def nifti_header(self) -> tuple[bytes, bool] | None: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Pipeline:
    @staticmethod
    def open(model: str, spec: _Path | None, settings: Settings) -> Pipeline: ...
    @property
    def spec(self) -> str: ...
    @property
    def table(self) -> str: ...
    @property
    def backend(self) -> str: ...
    def plan(self, shape: tuple[int, int, int], affine: _Float64) -> str: ...
    def segment_files(
        self, paths: Sequence[_Path], reading: Reading, match_grid: bool, progress: _Progress | None
    ) -> Segmented: ...
    def segment_arrays(
        self, channels: Sequence[_Float32], affine: _Float64, source: Source | None, progress: _Progress | None
    ) -> Segmented: ...

@final
class Probabilities:
    def of(self, id: int) -> _Float32: ...

def read(path: _Path, reading: Reading, double: bool) -> Study: ...
def read_labels(path: _Path, reading: Reading) -> tuple[Study, str]: ...
def write_volume(
    path: _Path,
    array: _Float32 | _Float64,
    affine: _Float64,
    source: Source | None,
    data_type: str,
    overwrite: bool,
) -> None: ...
def write_labels(
    path: _Path, array: _UInt16, affine: _Float64, table: str, source: Source | None, overwrite: bool
) -> str: ...
def write_file(path: _Path, content: str | bytes, overwrite: bool) -> None: ...
def check_outputs(labels: _Path, others: dict[str, str], overwrite: bool) -> None: ...
def orientation(affine: _Float64) -> str: ...
def reorient(array: _Float32 | _UInt16, affine: _Float64, orientation: str) -> tuple[NDArray[Any], _Float64]: ...
def resample(array: _Float32, affine: _Float64, target: Target, options: str) -> tuple[_Float32, _Float64]: ...
def resample_labels(array: _UInt16, affine: _Float64, target: Target) -> tuple[_UInt16, _Float64]: ...
def normalize(array: _Float32, normalization: str) -> tuple[_Float32, _Warnings]: ...
def preview(image: _Float32, labels: _UInt16, affine: _Float64, table: str) -> bytes: ...
def run_program(arguments: Sequence[str]) -> int: ...
def set_packages(folders: Sequence[str]) -> None: ...
