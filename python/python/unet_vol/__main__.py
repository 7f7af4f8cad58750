"""The program ``unet-vol``: ``python -m unet_vol`` and the script that pip installs."""

from __future__ import annotations

import sys

from . import _native


def main() -> int:
    """Runs the program with the arguments of this process and returns its exit code."""
    return _native.run_program(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
