"""Live through generated schedules of writers and clients, for as long as you like.

`.venv-test/bin/python scripts/long_schedules.py --minutes 60`. docs/how-to/testing.md and
tests/schedules say what that is.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATHS = [ROOT, ROOT / "tests" / "support", ROOT / "tests" / "schedules"]

if __name__ == "__main__":
    path = os.pathsep.join([*map(str, PATHS), os.environ.get("PYTHONPATH", "")])
    os.environ["PYTHONPATH"] = path
    os.execv(sys.executable, [sys.executable, "-m", "schedules", *sys.argv[1:]])  # noqa: S606
