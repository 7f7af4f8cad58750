"""Folders of DICOM files."""

from __future__ import annotations

import html
import json
import os
from dataclasses import dataclass
from typing import Any

from . import _native
from ._files import OnGap, Path, reading
from ._image import Image, Warning, of_study


@dataclass(frozen=True)
class Series:
    """One row of a triage: what belongs together and has one geometry."""

    number: int
    """From 1; chooses the row where a series is asked for."""
    study_uid: str
    series_uid: str
    series_number: int | None
    """As the scanner gave it."""
    description: str
    modality: str
    kind: str
    """``"volume"``, ``"multiframe"``, ``"mosaic"``, ``"localizer"`` and so on."""
    folder: str
    files: int
    shape: tuple[int, ...]
    """Voxels along i (columns), j (rows), k (slices)."""
    volumes: int
    """Volumes at the same place: time points, directions."""
    spacing: tuple[float, float, float] | None
    """mm along i, j, k."""
    orientation: str | None
    refusal: str | None
    """Why it cannot be read as a volume; ``None`` when it can."""
    warnings: tuple[Warning, ...]


class Triage:
    """What a folder of DICOM files holds: headers alone are read.

    Attributes:
        path: the folder.
        files, dicom_files: files looked at, and those of them that are DICOM.
        series: a row for each volume, with the reason why it can or cannot be read.
        unreadable: files that could not be read, with the reason.
        missing: files that a DICOMDIR names and that are not there.
    """

    def __init__(self, path: Path) -> None:
        self._native = _native.Triage(path)
        found = json.loads(self._native.json)
        self.path: str = found["path"]
        self.files: int = found["files"]
        self.dicom_files: int = found["dicom_files"]
        self.missing: tuple[str, ...] = tuple(found["missing"])
        self.unreadable: dict[str, str] = {row["path"]: row["reason"] for row in found["unreadable"]}
        self.series: tuple[Series, ...] = tuple(_series(row) for row in found["series"])

    def read(self, series: str | int | None = None, *, on_gap: OnGap = "refuse") -> Image:
        """Reads a series by its number, UID or description; without one the only volume.

        Raises:
            UsageError: when there are several and none was named, or there is none of this name.
            UnsupportedError, MalformedError: with the row's refusal.
        """
        image = of_study(self._native.read(reading(None, series, None, on_gap)))
        image.triage = self
        return image

    def to_dicts(self) -> list[dict[str, Any]]:
        """A row for each series, for ``pandas.DataFrame(triage.to_dicts())``."""
        return [dict(vars(row)) for row in self.series]

    def __reduce__(self) -> tuple[Any, ...]:
        return Triage, (self.path,)

    def __repr__(self) -> str:
        return f"<Triage {len(self.series)} series in {self.dicom_files} DICOM files>"

    def _repr_html_(self) -> str:
        names = ("number", "description", "modality", "kind", "shape", "spacing", "orientation", "refusal")
        head = "".join(f"<th>{name}</th>" for name in names)
        rows = []
        for row in self.series:
            cells = (getattr(row, name) for name in names)
            rows.append("".join(f"<td>{'' if cell is None else html.escape(str(cell))}</td>" for cell in cells))
        return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _series(row: dict[str, Any]) -> Series:
    plain = {name: row[name] for name in Series.__dataclass_fields__ if name in row}
    spacing = row["spacing"]
    plain["shape"] = tuple(row["shape"])
    plain["spacing"] = None if spacing is None else tuple(spacing)
    plain["warnings"] = tuple(Warning(warning["code"], warning["message"]) for warning in row["warnings"])
    return Series(**plain)


def triage(path: Path) -> Triage:
    """Looks at every file of a folder and those below it, whatever their names; reads headers alone.

    Raises:
        NotFoundError: when there is nothing at ``path``.
    """
    return Triage(os.fspath(path))


def read_dicom(path: Path, series: str | int | None = None, *, on_gap: OnGap = "refuse") -> Image:
    """Reads a series of a folder of DICOM files; the table of the folder is at ``image.triage``.

    Args:
        path: the folder, or a file that holds several slices.
        series: number in the table, UID or description; needed where the folder holds several volumes.
        on_gap: slices that are not evenly spaced are refused, or interpolated to even steps.

    Raises:
        UsageError: when there are several volumes and none was named.
        UnsupportedError, MalformedError: right geometry or a refusal that says why.
    """
    return Triage(os.fspath(path)).read(series, on_gap=on_gap)
