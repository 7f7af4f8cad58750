"""Folders of DICOM files."""

from __future__ import annotations

from typing import Any

Triage = Any
