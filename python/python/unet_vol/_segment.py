"""Segmenting: a pipeline, and what it gives."""

from __future__ import annotations

import base64
import html
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _native
from ._arrays import Float32, Float64, UInt16, label_ids
from ._errors import EmptyError, UsageError
from ._files import OnGap, Path, reading, refuse_existing, write_text
from ._image import Image, ImageLike, Label, Warning, as_image, is_path, table_from, table_text, to_nibabel, to_sitk
from ._labels import Instances, instances_from
from ._progress import watching
from ._stages import resample
from ._tiles import plain

Progress = Callable[[str, int, int], object] | Literal["auto", "tqdm"] | None
"""Called with stage, steps done and steps in all; ``"tqdm"`` is a bar, ``"auto"`` a bar where tqdm and a terminal are."""


@dataclass(frozen=True)
class LabelStatistics:
    """Volume, place and intensity of one label."""

    id: int
    name: str
    voxels: int
    ml: float
    centroid_mm: tuple[float, float, float] | None
    """World position in mm (RAS+); ``None`` without a voxel."""
    bounding_box: tuple[tuple[int, int, int], tuple[int, int, int]] | None
    """First voxel i, j, k and the one past the last."""
    mean: float | None
    """Mean intensity of the first channel."""
    std: float | None
    """Standard deviation of its intensities."""


def _statistics(text: str) -> tuple[LabelStatistics, ...]:
    rows = []
    for row in json.loads(text)["labels"]:
        box, centroid, intensity = row["bounding_box"], row["centroid_mm"], row["intensity"] or {}
        rows.append(
            LabelStatistics(
                row["id"],
                row["name"],
                row["voxels"],
                row["ml"],
                None if centroid is None else tuple(centroid),
                None if box is None else (tuple(box["start"]), tuple(box["end"])),
                intensity.get("mean"),
                intensity.get("std"),
            )
        )
    return tuple(rows)


_NEEDS_RUN = ("dicom_seg", "rtstruct", "secondary_capture", "preview", "probabilities", "instances")
"""What a segmentation cannot write without the record of its run."""


class Segmentation:
    """Labels of one study, on exactly its grid.

    Attributes:
        labels: uint16 ``[i, j, k]`` in Fortran order: the program's own memory, not a copy, and read-only. To change
            them, copy them and call :meth:`with_labels`.
        affine: 4 x 4, voxel centres to mm in RAS+.
        table: what the ids stand for.
        statistics: volume, place and intensity of each label.
        warnings: everything to know, from reading to labels.
        manifest: the record of the run: hashes, versions, engine, plan, times.
        instances: the connected pieces of each label, numbered, where ``instances=True`` asked for them; else ``None``.
        image: the first channel; ``None`` after pickling, which leaves it behind.

    Pickling keeps all but the image, the probabilities and the attributes of a DICOM study.
    """

    labels: UInt16
    affine: Float64
    table: tuple[Label, ...]
    statistics: tuple[LabelStatistics, ...]
    warnings: tuple[Warning, ...]
    manifest: dict[str, Any]
    instances: Instances | None
    image: Image | None

    def __init__(self, parts: _native.Segmented, image: Image | None) -> None:
        self.labels = parts["labels"]
        self.labels.flags.writeable = False
        self.affine = parts["affine"]
        self.table = table_from(parts["table"])
        self.statistics = _statistics(parts["statistics"])
        self.warnings = tuple(Warning(*warning) for warning in parts["warnings"])
        self.manifest = json.loads(parts["manifest"])
        self._source = parts["source"]
        self._record: _native.Record | None = parts["record"]
        self._texts: _native.Texts | None = None
        self._probabilities = parts["probabilities"]
        self.instances = None if parts["instances"] is None else instances_from(*parts["instances"])
        self.image = image
        if image is None:
            self.image = Image(parts["image"], self.affine)
            self.image._source = self._source

    @property
    def is_empty(self) -> bool:
        """True when no voxel got a label."""
        return not self.labels.any()

    def mask(self, label: int | str) -> NDArray[np.bool_]:
        """The voxels of one label, by id or name, as a boolean array."""
        mask: NDArray[np.bool_] = self.labels == self._id(label)
        return mask

    def probability(self, label: int | str) -> Float32:
        """The probability of a label at each voxel, float32 ``[i, j, k]``.

        Raises:
            UsageError: unless the segmentation was made with ``probabilities=True``, and after pickling.
        """
        if self._probabilities is None:
            raise UsageError("the probabilities were not kept: segment with probabilities=True")
        return self._probabilities.of(self._id(label))

    def with_labels(self, labels: ArrayLike) -> Segmentation:
        """The same study with other labels of the same shape; statistics and manifest stay those of the run."""
        new = np.array(label_ids(labels), order="F", copy=True)
        if new.shape != self.labels.shape:
            raise UsageError(f"labels of shape {new.shape} do not fit a study of {self.labels.shape}")
        new.flags.writeable = False
        other = object.__new__(Segmentation)
        other.__dict__.update(self.__dict__, labels=new, instances=None, _record=None, _texts=None)
        return other

    def save(
        self,
        path: Path | None = None,
        *,
        dicom_seg: Path | None = None,
        rtstruct: Path | None = None,
        secondary_capture: Path | None = None,
        statistics: Path | None = None,
        preview: Path | None = None,
        manifest: Path | None = None,
        brain_mask: Path | None = None,
        instances: Path | None = None,
        color_table: Path | None = None,
        probabilities: Path | None = None,
        labelmap_seg: bool = False,
        overwrite: bool = False,
    ) -> dict[str, Any]:
        """Writes the label volume under the source's own header, reopens it and compares its geometry with the source.

        Args:
            path: the label volume, ``.nii`` or ``.nii.gz``.
            dicom_seg, rtstruct: ``.dcm``, of a study that was read from DICOM; ``labelmap_seg`` chooses the segmentation
                with one value per voxel.
            secondary_capture: a folder for DICOM pictures.
            statistics: ``.csv`` or ``.json``.
            preview: a picture of three planes, ``.png``.
            manifest: the record of the run, ``.json``.
            brain_mask: 1 in every structure of the brain, or in every label where the model names no brain.
            instances: the numbers of :attr:`instances` as a label volume.
            color_table: ids, names and colors for viewers, ``.txt``.
            probabilities: ``NAME.nii.gz``, which becomes ``NAME_<id>.nii.gz`` for each label.
            overwrite: whether existing files are replaced.

        After pickling, what needs the image, the probabilities or the attributes of a DICOM study cannot be written; with
        other labels neither can the statistics and the color table, which are those of the run.

        Returns:
            The certificate of the label volume: the largest distance of a voxel from where it should be, in mm. Empty
            without ``path``.

        Raises:
            ExistsError: when a file exists, before anything is written.
            OutputError: when a file cannot be written.
        """
        files: _native.Outputs = {
            "labels": path,
            "dicom_seg": dicom_seg,
            "rtstruct": rtstruct,
            "secondary_capture": secondary_capture,
            "statistics": statistics,
            "manifest": manifest,
            "preview": preview,
            "brain_mask": brain_mask,
            "instances": instances,
            "color_table": color_table,
            "probabilities": probabilities,
            "labelmap_seg": labelmap_seg,
            "overwrite": overwrite,
        }
        if self._record is not None and self.image is not None:
            self.manifest = json.loads(self._record.write(self.labels, self.image.array, files))
            return self.manifest["certificate"] or {}
        missing = [name for name in _NEEDS_RUN if files[name] is not None]  # type: ignore[literal-required]
        if self._texts is None:
            missing += [name for name, file in (("statistics", statistics), ("color_table", color_table)) if file is not None]
        if missing:
            raise UsageError(f"after pickling, and with other labels, this cannot be written: {', '.join(missing)}")
        return self._save_alone(files)

    def _save_alone(self, files: _native.Outputs) -> dict[str, Any]:
        """Writes what can be written without the record of the run."""
        overwrite = files["overwrite"]
        wanted = (files["labels"], files["brain_mask"], files["statistics"], files["color_table"], files["manifest"])
        refuse_existing([file for file in wanted if file is not None], overwrite)
        manifest = dict(self.manifest)
        if files["labels"] is not None:
            path = files["labels"]
            text = _native.write_labels(
                path, self.labels, self.affine, table_text(self.table), self._source, overwrite
            )
            manifest["certificate"] = json.loads(text)
        if files["brain_mask"] is not None:
            brain = None if self._texts is None else self._texts["brain"]
            inside = self.labels > 0 if brain is None else np.isin(self.labels, brain)
            mask = np.asfortranarray(inside, dtype=np.uint16)
            _native.write_labels(files["brain_mask"], mask, self.affine, "[]", self._source, overwrite)
        if self._texts is not None and files["statistics"] is not None:
            kind: Literal["json", "csv"] = "json" if os.fspath(files["statistics"]).lower().endswith(".json") else "csv"
            write_text(files["statistics"], self._texts[kind], overwrite)
        if self._texts is not None and files["color_table"] is not None:
            write_text(files["color_table"], self._texts["colors"], overwrite)
        if files["manifest"] is not None:
            write_text(files["manifest"], json.dumps(manifest, indent=2, ensure_ascii=False), overwrite)
        self.manifest = manifest
        return manifest["certificate"] or {}

    def preview_png(self) -> bytes:
        """A picture of three planes with the labels in color, as the bytes of a PNG file.

        Raises:
            UsageError: after pickling, which leaves the image behind.
        """
        if self.image is None:
            raise UsageError("the image was left behind when this was pickled; there is nothing to draw on")
        return _native.preview(self.image.array, self.labels, self.affine, table_text(self.table))

    def to_nibabel(self) -> Any:
        """The labels as a nibabel image, under the header of the source where that was a NIfTI file."""
        return to_nibabel(self.labels, self.affine, self._source)

    def to_sitk(self) -> Any:
        """The labels as a SimpleITK image.

        Raises:
            UsageError: for sheared axes, which ITK does not have.
        """
        return to_sitk(self.labels, self.affine)

    def to_image(self) -> Image:
        """The labels as an :class:`Image` with a table."""
        image = Image(self.labels, self.affine, table=self.table)
        image._source = self._source
        return image

    def _id(self, label: int | str) -> int:
        for known in self.table:
            if label == known.id or (isinstance(label, str) and label.lower() == known.name.lower()):
                return known.id
        names = ", ".join(known.name for known in self.table)
        raise UsageError(f"there is no label {label!r}; there are: {names}")

    def __repr__(self) -> str:
        found = sum(row.voxels > 0 for row in self.statistics)
        size = " x ".join(str(n) for n in self.labels.shape)
        return f"<Segmentation {found} labels in {size} voxels>"

    def _repr_html_(self) -> str:
        rows = []
        for label, row in zip(self.table, self.statistics):
            if row.voxels:
                color = "#{:02x}{:02x}{:02x}".format(*label.rgb)
                swatch = f'<span style="color:{color}">&#9632;</span>'
                rows.append(f"<tr><td>{swatch} {html.escape(row.name)}</td><td>{row.ml:.1f} ml</td></tr>")
        picture = ""
        if self.image is not None:
            data = base64.b64encode(self.preview_png()).decode()
            picture = f'<img alt="three planes with labels" src="data:image/png;base64,{data}"/>'
        notes = "".join(f"<li>{html.escape(warning.message)}</li>" for warning in self.warnings)
        table = f"<details><summary>{len(rows)} labels</summary><table>{''.join(rows)}</table></details>"
        return f"<div>{picture}{table}<ul>{notes}</ul></div>"

    def __getstate__(self) -> dict[str, Any]:
        texts = self._texts if self._record is None else self._record.texts()
        return {**self.__dict__, "image": None, "_probabilities": None, "_record": None, "_texts": texts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.labels.flags.writeable = False


def _settings(
    *,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    reproducible: bool = False,
    threads: int = 0,
    onnxruntime: Path | None = None,
    openvino: Path | None = None,
    max_bytes: int | None = None,
    labels: Sequence[str | int] = (),
    probabilities: bool = False,
    instances: bool = False,
    tta: bool = False,
    edges: bool = True,
    tiling: Mapping[str, Any] | None = None,
    postprocess: Sequence[Mapping[str, Any]] | None = None,
) -> _native.Settings:
    if not 0 <= threads <= 4096:
        raise UsageError(f"threads is a number from 0 to 4096, not {threads!r}")
    if max_bytes is not None and not 0 < max_bytes < 2**63:
        raise UsageError(f"max_bytes is a number of bytes, not {max_bytes!r}")
    if isinstance(labels, str):
        raise UsageError("labels is a list of names or ids, not a text")
    return {
        "engine": engine,
        "device": device,
        "precision": precision,
        "reproducible": reproducible,
        "threads": threads,
        "onnxruntime": onnxruntime,
        "openvino": openvino,
        "max_bytes": max_bytes,
        "labels": [str(label) for label in labels],
        "probabilities": probabilities,
        "instances": instances,
        "tta": tta,
        "edges": edges,
        "tiling": None if tiling is None else json.dumps(tiling),
        "postprocess": None if postprocess is None else json.dumps(postprocess),
    }


class Pipeline:
    """A model in an engine, built once and used for many images; threads may share it.

    Args:
        model: the name of a bundled model, or an ONNX file.
        spec: what the model expects and means, for an ONNX file that does not carry it (TOML or JSON).
        engine: ``"auto"``, ``"embedded"``, ``"onnxruntime"`` or ``"openvino"``; the latter two come with the extras
            ``unet-vol[cpu]``, ``[cuda]`` and ``[openvino]``.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``; a named device is never replaced by another.
        precision: ``"auto"``, ``"fp32"`` or ``"bf16"``.
        reproducible: keeps to the reference engine.
        threads: 0 shares the package's threads, one per core.
        onnxruntime, openvino: the library to open, where it lies elsewhere.
        max_bytes: a ceiling for peak memory: the plan fits or is refused; labels do not depend on it.
        labels: the labels to keep, by name or id.
        probabilities: keeps the probabilities in a temporary file, for :meth:`Segmentation.probability`.
        instances: numbers the connected pieces of each label, for :attr:`Segmentation.instances`.
        tta: averages with the mirror image, left and right swapped back, in twice the time.
        edges: decides edges between labels with the scan's intensities, where the model asks for it.
        tiling, postprocess: other than the model's own, as in a model's description.

    Raises:
        ModelError: when there is no such model or the engine cannot be had.
        UsageError: for settings that do not go together.
    """

    def __init__(
        self,
        model: Path = "brain-mri",
        *,
        spec: Path | None = None,
        engine: str = "auto",
        device: str = "auto",
        precision: str = "auto",
        reproducible: bool = False,
        threads: int = 0,
        onnxruntime: Path | None = None,
        openvino: Path | None = None,
        max_bytes: int | None = None,
        labels: Sequence[str | int] = (),
        probabilities: bool = False,
        instances: bool = False,
        tta: bool = False,
        edges: bool = True,
        tiling: Mapping[str, Any] | None = None,
        postprocess: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        settings = _settings(
            engine=engine,
            device=device,
            precision=precision,
            reproducible=reproducible,
            threads=threads,
            onnxruntime=onnxruntime,
            openvino=openvino,
            max_bytes=max_bytes,
            labels=labels,
            probabilities=probabilities,
            instances=instances,
            tta=tta,
            edges=edges,
            tiling=tiling,
            postprocess=postprocess,
        )
        self._native = _native.Pipeline.open(os.fspath(model), spec, settings)

    @classmethod
    def from_model(cls, model: Path, *, spec: Path | None = None, **settings: Any) -> Pipeline:
        """A bundled model by name, or an ONNX file; see :class:`Pipeline` for the settings."""
        return cls(model, spec=spec, **settings)

    @classmethod
    def brain_mri(cls, **settings: Any) -> Pipeline:
        """The bundled model of 32 structures of the brain; see :class:`Pipeline` for the settings."""
        return cls("brain-mri", **settings)

    @classmethod
    def hippocampus(cls, **settings: Any) -> Pipeline:
        """The bundled model of the anterior and posterior part of one hippocampus; see :class:`Pipeline` for the settings.

        It was trained on crops of about 35 x 50 x 35 mm around one hippocampus, and a study is such a crop: in a whole
        head it marks places that look alike. Its weights are under CC-BY-SA 4.0.
        """
        return cls("hippocampus", **settings)

    @classmethod
    def from_predictor(
        cls,
        predictor: Callable[[Any], Any],
        spec: Mapping[str, Any] | str,
        *,
        planar: bool = False,
        **settings: Any,
    ) -> Pipeline:
        """Any function as the network, with grid, intensities, tiles and labels as ``spec`` describes them.

        Args:
            predictor: takes float32 ``[N, C, k, j, i]`` (``[N, C, height, width]`` where ``planar``) and gives scores
                ``[N, classes, k, j, i]``, as anything that NumPy reads. It is called with the GIL from a thread of this
                package's, and must be ready for several at once where several threads use the pipeline.
            spec: a model's description as a dict, or the text of one in TOML or JSON.
            settings: ``threads``, ``max_bytes``, ``labels``, ``probabilities``, ``instances``, ``tta``, ``edges``,
                ``tiling``, ``postprocess``.

        Raises:
            ModelError: for a description that makes no sense.
        """
        text = spec if isinstance(spec, str) else json.dumps(spec)

        def call(patches: Float32) -> Float32:
            return plain(predictor(patches))

        pipeline = object.__new__(cls)
        pipeline._native = _native.Pipeline.of_callable(call, text, planar, _settings(**settings))
        return pipeline

    @property
    def table(self) -> tuple[Label, ...]:
        """The labels that the model gives."""
        return table_from(self._native.table)

    @property
    def spec(self) -> dict[str, Any]:
        """What the model expects and means."""
        spec: dict[str, Any] = json.loads(self._native.spec)
        return spec

    @property
    def backend(self) -> dict[str, Any]:
        """Engine, version, device and arithmetic."""
        backend: dict[str, Any] = json.loads(self._native.backend)
        return backend

    def plan(self, image: ImageLike) -> dict[str, Any]:
        """Tiles, passes and predicted peak memory for an image, before any work."""
        image = as_image(image)
        plan: dict[str, Any] = json.loads(self._native.plan(image.shape, image.affine))
        return plan

    def segment(
        self,
        *images: ImageLike,
        volume: int | None = None,
        series: str | int | None = None,
        assume_orientation: str | None = None,
        match_grid: bool = False,
        on_gap: OnGap = "refuse",
        fail_on_empty: bool = False,
        progress: Progress = None,
    ) -> Segmentation:
        """Segments one study; Ctrl-C stops it within a tile.

        Args:
            images: one per channel of the model, in its order: paths or images, all on one grid.
            volume, series, assume_orientation, on_gap: how files are read, see :func:`read`.
            match_grid: resamples channels that lie on other grids onto the first one's.
            fail_on_empty: an empty result is an error.
            progress: a callable ``(stage, done, total)``, ``"tqdm"``, or ``"auto"``.

        Raises:
            UnetVolError: whatever the command refuses, with the same sentence.
            KeyboardInterrupt: after Ctrl-C; nothing is left behind.
        """
        if not images:
            raise UsageError("no image was given")
        options = reading(volume, series, assume_orientation, on_gap)
        with watching(progress) as callback:
            paths = [os.fspath(image) for image in images if is_path(image)]
            if len(paths) == len(images):
                result = Segmentation(self._native.segment_files(paths, options, match_grid, callback), None)
            else:
                result = self._segment_arrays([as_image(image) for image in images], match_grid, callback)
        if fail_on_empty and result.is_empty:
            raise EmptyError("no voxel got a label")
        return result

    __call__ = segment

    def _segment_arrays(
        self, images: list[Image], match_grid: bool, callback: Callable[[str, int, int], object] | None
    ) -> Segmentation:
        first = images[0]
        for number, image in enumerate(images):
            if image.table is not None:
                raise UsageError("a label volume was given where an image of intensities is wanted")
            if number and not (image.shape == first.shape and np.allclose(image.affine, first.affine, atol=1e-3)):
                if not match_grid:
                    raise UsageError("the channels do not lie on one grid: give match_grid=True to resample them")
                images[number] = resample(image, like=first)
        parts = self._native.segment_arrays([i.array for i in images], first.affine, first._source, callback)
        return Segmentation(parts, first)

    def __repr__(self) -> str:
        backend = self.backend
        return f"<Pipeline {self.spec['name']} in {backend['engine']} on {backend['provider']}>"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a Pipeline holds an engine and cannot be pickled: make one in each process")


def segment(
    image: ImageLike | Sequence[ImageLike],
    model: Path = "brain-mri",
    device: str = "auto",
    *,
    volume: int | None = None,
    series: str | int | None = None,
    assume_orientation: str | None = None,
    match_grid: bool = False,
    on_gap: OnGap = "refuse",
    fail_on_empty: bool = False,
    progress: Progress = None,
    **settings: Any,
) -> Segmentation:
    """Segments one study with a model; to segment several, build a :class:`Pipeline` once.

    Args:
        image: a path, an image, or a list of them for a model of several channels.
        model, device, settings: see :class:`Pipeline`.
        volume, series, assume_orientation, match_grid, on_gap, fail_on_empty, progress: see :meth:`Pipeline.segment`.
    """
    images = list(image) if isinstance(image, list) else [image]
    pipeline = Pipeline(model, device=device, **settings)
    return pipeline.segment(
        *images,
        volume=volume,
        series=series,
        assume_orientation=assume_orientation,
        match_grid=match_grid,
        on_gap=on_gap,
        fail_on_empty=fail_on_empty,
        progress=progress,
    )
