"""Writes THIRD-PARTY-NOTICES: the licenses of the crates that are linked into the wheel.

    python notices.py            # after a change of Cargo.lock; needs the crates' sources, as a build does
    python notices.py --check    # fails when the file names other crates than Cargo.lock
"""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
OUTPUT = HERE / "THIRD-PARTY-NOTICES"
HEAD = """Third-party notices of the Python package unet-vol

The extension module links the Rust crates below, under the license that each names. Of a choice of
licenses MIT is taken; texts that several crates share stand once.
"""
NAMES = ("licen", "copying", "notice", "copyright", "unlicense")


def crates():
    """(name, version, license, folder) of what is linked on any system, sorted."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--offline"]
    found = json.loads(subprocess.run(command, cwd=HERE, capture_output=True, check=True, text=True).stdout)
    nodes = {node["id"]: node for node in found["resolve"]["nodes"]}
    wanted, seen = [found["resolve"]["root"]], set()
    while wanted:
        node = wanted.pop()
        if node not in seen:
            seen.add(node)
            # Kind None is a normal dependency; those of builds and tests are in no binary.
            wanted += [dep["pkg"] for dep in nodes[node]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
    packages = [package for package in found["packages"] if package["id"] in seen and package["source"]]
    rows = [(p["name"], p["version"], p["license"] or "see its file", Path(p["manifest_path"]).parent) for p in packages]
    return sorted(rows)


def texts(folder):
    """The license texts of a crate's folder."""
    files = [path for path in sorted(folder.iterdir()) if path.name.lower().startswith(NAMES) and path.is_file()]
    # Of a choice of licenses the MIT license is taken, where it has a file of its own.
    chosen = [path for path in files if "mit" in path.name.lower() or "notice" in path.name.lower()]
    files = chosen if any("mit" in path.name.lower() for path in chosen) else files
    return ["\n".join(line.rstrip() for line in path.read_text(errors="replace").strip().splitlines()) for path in files]


def made(rows):
    """The whole file."""
    users, written = {}, {}
    for name, version, _, folder in rows:
        for text in texts(folder):
            # Texts that differ in line breaks alone are one.
            key = " ".join(text.split())
            written.setdefault(key, text)
            users.setdefault(key, []).append(f"{name} {version}")
    parts = [HEAD, *(f"{name} {version}: {license}" for name, version, license, _ in rows)]
    for key, crates_of in sorted(users.items(), key=lambda item: item[1]):
        parts.append(f"\n{'-' * 80}\n{', '.join(crates_of)}\n\n{written[key]}")
    return "\n".join(parts) + "\n"


def main():
    rows = crates()
    if "--check" in sys.argv:
        have = OUTPUT.read_text()
        missing = [f"{name} {version}" for name, version, *_ in rows if f"\n{name} {version}: " not in have]
        if missing:
            sys.exit(f"{OUTPUT.name} lacks {', '.join(missing)}: run python notices.py")
        return
    OUTPUT.write_text(made(rows))


if __name__ == "__main__":
    main()
