"""Prove that their own tests take every branch of the modules that do no I/O.

`.venv-test/bin/python scripts/pure_coverage.py`. The tests are those of tests/wire, tests/session
and tests/live; what the fuzzer and the tests with sockets reach does not count.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = ["tests/wire", "tests/session", "tests/live"]
PURE = ["ddpcore/errors.py", "ddpcore/live/document.py", "ddpcore/session/*", "ddpcore/wire/*"]


def main() -> int:
    """Run the tests, then report; the exit code: 0 if nothing is missed."""
    with tempfile.TemporaryDirectory() as place:
        data = f"--data-file={place}/coverage"
        for command in (
            ["run", data, "--branch", "-m", "pytest", "-q", *TESTS],
            ["report", data, "--show-missing", "--fail-under=100", f"--include={','.join(PURE)}"],
        ):
            whole = [sys.executable, "-m", "coverage", *command]
            if code := subprocess.run(whole, cwd=ROOT, check=False).returncode:
                return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
