"""Runs every Python oracle of this folder and closes with one line of counts.

An oracle is a script `check_*.py`: exit code 0 is a pass, 77 a skip (its last line says why), all else a failure.
"""

import pathlib
import subprocess
import sys

FOLDER = pathlib.Path(__file__).parent


def main() -> int:
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for script in sorted(FOLDER.glob("check_*.py")):
        done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
        outcome = {0: "passed", 77: "skipped"}.get(done.returncode, "failed")
        counts[outcome] += 1
        last = (done.stdout.strip() or done.stderr.strip() or "no output").splitlines()[-1]
        print(f"{script.name}: {outcome}: {last}", flush=True)
        if outcome == "failed":
            print(done.stdout + done.stderr, flush=True)
    print(f"oracles: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    if sum(counts.values()) == 0:
        print("no oracle was found", file=sys.stderr)
        return 1
    return int(counts["failed"] > 0)


if __name__ == "__main__":
    sys.exit(main())
