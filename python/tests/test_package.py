"""The package as a whole: stubs, README, program, wheel."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import unet_vol
from conftest import ROOT

PACKAGE = Path(unet_vol.__file__).parent
PYTHON = ROOT / "python"


def run(*command: str | Path, **options: object) -> str:
    """Output of a command that must succeed."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def test_every_name_is_documented() -> None:
    for name in unet_vol.__all__:
        if name not in ("__version__", "ImageLike"):
            assert getattr(unet_vol, name).__doc__, name
    assert (PACKAGE / "py.typed").exists()


def test_the_stubs_say_what_the_extension_has() -> None:
    pytest.importorskip("mypy")
    run(sys.executable, "-m", "mypy.stubtest", "--ignore-disjoint-bases", "unet_vol._native", cwd=PACKAGE.parent)


def test_the_ten_lines_of_the_readme_run(
    tmp_path: Path, head: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = re.findall(r"```python\n(.*?)```", (PYTHON / "README.md").read_text(), flags=re.DOTALL)[0]
    shutil.copy(head, tmp_path / "study.nii.gz")
    monkeypatch.chdir(tmp_path)
    # There is no DICOM head in the repository: the same head stands for it.
    names = {"head": unet_vol.read(head)}
    exec(code.replace('unet_vol.read_dicom("dicom-folder")', "head"), names)
    assert (tmp_path / "labels.nii.gz").exists() and (tmp_path / "look.png").exists()
    assert names["hippocampus"].any()  # type: ignore[attr-defined]


def test_the_notices_name_every_crate() -> None:
    if shutil.which("cargo") is None:
        pytest.skip("cargo is not installed")
    run(sys.executable, PYTHON / "notices.py", "--check")


def test_the_program_is_the_same() -> None:
    assert "segment" in run(sys.executable, "-m", "unet_vol", "--help")
    assert run(sys.executable, "-m", "unet_vol", "--version").split()[1] == unet_vol.__version__
    refused = subprocess.run([sys.executable, "-m", "unet_vol", "segment"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2 and "Usage: unet-vol segment" in refused.stderr


def test_a_wheel_installs_into_an_empty_environment(tmp_path: Path, head: Path) -> None:
    maturin = Path(sys.executable).parent / "maturin"
    if not maturin.exists():
        pytest.skip("maturin is not installed")
    command = [maturin, "build", "--profile", "dev", "--locked", "--offline", "--out", tmp_path]
    built = subprocess.run([str(c) for c in command], cwd=PYTHON, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    wheel = next(tmp_path.glob("*.whl"))
    assert "cp311-abi3" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if "training" in name or "tests" in name], names
    assert "unet_vol/py.typed" in names and "unet_vol/_native.pyi" in names
    for notice in ("LICENSE-MIT", "LICENSE-APACHE", "LICENSE-hippocampus-weights.md", "THIRD-PARTY-NOTICES"):
        assert [name for name in names if name.endswith(f".dist-info/licenses/{notice}")], names
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    script = tmp_path / "venv" / "bin" / "unet-vol"
    run(script, "segment", head, "-o", tmp_path / "a.nii.gz", "--engine", "embedded", cwd=tmp_path)
    # The environment is not activated: its packages are found through the interpreter.
    assert (tmp_path / "a.nii.gz").exists() and "embedded" in run(script, "runtime")
