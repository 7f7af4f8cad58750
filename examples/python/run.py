"""Runs every example of this folder; exit code 77 of one is a skip."""

import subprocess
import sys
from pathlib import Path


def main() -> int:
    failed = 0
    scripts = [path for path in sorted(Path(__file__).parent.glob("*.py")) if path.name != "run.py"]
    for script in scripts:
        done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
        word = {0: "passed", 77: "skipped"}.get(done.returncode, "failed")
        last = (done.stdout.strip() or "no output").splitlines()[-1]
        print(f"{script.name}: {word}: {last}", flush=True)
        if word == "failed":
            failed += 1
            print(done.stdout + done.stderr, flush=True)
    return int(failed > 0 or len(scripts) < 5)


if __name__ == "__main__":
    sys.exit(main())
