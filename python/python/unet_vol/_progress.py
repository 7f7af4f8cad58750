"""Progress: a callable of the caller's, or a bar of tqdm."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from ._errors import UsageError


@contextmanager
def watching(progress: Any) -> Iterator[Callable[[str, int, int], object] | None]:
    """The callable to hand to the extension."""
    if progress is None or callable(progress):
        yield progress
        return
    if progress not in ("auto", "tqdm"):
        raise UsageError(f'progress is a callable, "tqdm", "auto" or None, not {progress!r}')
    try:
        tqdm: Any = import_module("tqdm.auto").tqdm
    except ImportError as error:
        if progress == "tqdm":
            raise UsageError('progress="tqdm" needs the package tqdm: pip install tqdm') from error
        yield None
        return
    if progress == "auto" and not sys.stderr.isatty():
        yield None
        return
    with tqdm(leave=False) as bar:

        def show(stage: str, done: int, total: int) -> None:
            if bar.desc != f"{stage}: ":
                bar.reset(total)
                bar.set_description(stage)
            bar.total = total
            bar.update(done - bar.n)

        yield show
