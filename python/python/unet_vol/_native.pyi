# What python/src has; `python -m mypy.stubtest unet_vol._native` compares the two.
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, TypedDict, final, type_check_only

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Layout",
    "Pipeline",
    "Probabilities",
    "Record",
    "Source",
    "Stitch",
    "Triage",
    "__version__",
    "connected_components",
    "convert",
    "evaluate_arrays",
    "evaluate_files",
    "evaluate_folders",
    "instances",
    "normalize",
    "orientation",
    "postprocess",
    "preview",
    "read",
    "read_labels",
    "reorient",
    "resample",
    "resample_labels",
    "run_batch",
    "run_program",
    "score",
    "set_packages",
    "write_labels",
    "write_volume",
]

__version__: str

_Path = str | PathLike[str]
_Float32 = NDArray[np.float32]
_Float64 = NDArray[np.float64]
_UInt16 = NDArray[np.uint16]
_Ids = NDArray[np.uint8] | NDArray[np.uint16]
_Warnings = list[tuple[str, str]]
_Progress = Callable[[str, int, int], object]
_Call = Callable[[_Float32], _Float32]

@type_check_only
class Reading(TypedDict):
    volume: int | None
    series: str | None
    assume_orientation: str | None
    on_gap: str

@type_check_only
class Target(TypedDict):
    spacing: tuple[float, float, float] | None
    shape: tuple[int, int, int] | None
    affine: _Float64 | None
    rule: str

@type_check_only
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
    instances: bool
    tta: bool
    edges: bool
    tiling: str | None
    postprocess: str | None

@type_check_only
class Study(TypedDict):
    array: NDArray[Any]
    affine: _Float64
    source: Source
    warnings: _Warnings

@type_check_only
class Segmented(TypedDict):
    labels: _UInt16
    affine: _Float64
    image: _Float32
    source: Source
    table: str
    statistics: str
    manifest: str
    warnings: _Warnings
    probabilities: Probabilities | None
    instances: tuple[NDArray[np.uint32], str] | None
    record: Record

@type_check_only
class Outputs(TypedDict):
    labels: _Path | None
    dicom_seg: _Path | None
    rtstruct: _Path | None
    secondary_capture: _Path | None
    statistics: _Path | None
    manifest: _Path | None
    preview: _Path | None
    brain_mask: _Path | None
    instances: _Path | None
    color_table: _Path | None
    probabilities: _Path | None
    labelmap_seg: bool
    overwrite: bool

@type_check_only
class Batching(TypedDict):
    pattern: str | None
    select: str | None
    existing: str
    shard: str | None
    channels: list[str]
    formats: list[str]
    bids: bool
    jobs: int
    seconds: float | None
    statistics: bool
    preview: bool
    instances: bool

@type_check_only
class Scores(TypedDict):
    dice: float | None
    jaccard: float | None
    hd95_mm: float | None
    hd_mm: float | None
    mean_surface_distance_mm: float | None
    surface_dice: float | None

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
    @staticmethod
    def of_callable(call: _Call, spec: str, planar: bool, settings: Settings) -> Pipeline: ...
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

@type_check_only
class Texts(TypedDict):
    csv: str
    json: str
    colors: str
    brain: list[int] | None

@final
class Record:
    def texts(self) -> Texts: ...
    def write(self, labels: _UInt16, image: _Float32, outputs: Outputs) -> str: ...

@final
class Probabilities:
    def of(self, id: int) -> _Float32: ...

@final
class Triage:
    def __new__(cls, path: _Path) -> Triage: ...
    @property
    def json(self) -> str: ...
    def read(self, reading: Reading) -> Study: ...

@final
class Layout:
    def __new__(cls, tiling: str, shape: tuple[int, int, int], network: str | None, batch: int) -> Layout: ...
    @property
    def shape(self) -> list[int]: ...
    @property
    def patch(self) -> list[int]: ...
    @property
    def output(self) -> list[int]: ...
    def __len__(self) -> int: ...
    def tile(self, number: int) -> tuple[list[int], list[int], list[int], list[int]]: ...
    def gather(self, channels: Sequence[_Float32], first: int, count: int) -> _Float32: ...
    def stitch(self, classes: int) -> Stitch: ...

@final
class Stitch:
    def add(self, scores: _Float32) -> None: ...
    def finish(self) -> _Float32: ...

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
def convert(
    input: _Path,
    output: _Path,
    orientation: str | None,
    spacing: tuple[float, float, float] | None,
    method: str,
    data_type: str | None,
    reading: Reading,
    overwrite: bool,
) -> tuple[str, str, _Warnings]: ...
def run_batch(
    pipeline: Pipeline,
    folder: _Path,
    output: _Path,
    batching: Batching,
    reading: Reading,
    progress: _Progress | None,
) -> str: ...
def orientation(affine: _Float64) -> str: ...
def reorient(array: _Float32 | _UInt16, affine: _Float64, orientation: str) -> tuple[NDArray[Any], _Float64]: ...
def resample(array: _Float32, affine: _Float64, target: Target, options: str) -> tuple[_Float32, _Float64]: ...
def resample_labels(array: _UInt16, affine: _Float64, target: Target) -> tuple[_UInt16, _Float64]: ...
def normalize(array: _Float32, normalization: str) -> tuple[_Float32, _Warnings]: ...
def connected_components(
    array: _Ids, connectivity: int, together: bool
) -> tuple[NDArray[np.uint32], NDArray[np.uint64], _UInt16]: ...
def postprocess(array: _Ids, affine: _Float64, steps: str) -> tuple[_UInt16, str]: ...
def instances(
    array: _Ids, affine: _Float64, connectivity: int, by_size: bool
) -> tuple[NDArray[np.uint32], str]: ...
def score(
    prediction: _Ids, reference: _Ids, spacing: tuple[float, float, float], label: int | None, options: str | None
) -> Scores: ...
def evaluate_arrays(
    prediction: tuple[_UInt16, _Float64, str], reference: tuple[_UInt16, _Float64, str], options: str
) -> str: ...
def evaluate_files(prediction: _Path, reference: _Path, options: str) -> str: ...
def evaluate_folders(prediction: _Path, reference: _Path, options: str) -> tuple[str, _Warnings]: ...
def preview(image: _Float32, labels: _UInt16, affine: _Float64, table: str) -> bytes: ...
def run_program(arguments: Sequence[str]) -> int: ...
def set_packages(folders: Sequence[str]) -> None: ...
