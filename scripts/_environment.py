"""What `scripts/demo` and `scripts/test` share: an environment of their own, made when needed.

Standard library only, and nothing that Python 3.6 could not read (hence the quoted types): an
older interpreter must get as far as finding a newer one, or saying clearly that there is none.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
# Where interpreters are that a plain PATH often leaves out.
_PLACES = ["/opt/homebrew/bin", "/usr/local/bin", "/usr/bin"]


def say(text: str) -> None:
    """Print a step."""
    print(text, flush=True)


def need_python() -> None:
    """Go on with an interpreter that is new enough: this one, or the newest to be found."""
    if sys.version_info >= OLDEST:
        return
    newer = _newest_python()
    if newer is None:
        wanted, found = ".".join(map(str, OLDEST)), sys.version.split()[0]
        sys.exit(
            f"ddpcore needs Python {wanted} or newer. This is Python {found} ({sys.executable}), "
            "and no newer one was found. Install one, or name it: python3.12 scripts/…"
        )
    os.execv(newer, [newer, *sys.argv])  # noqa: S606 - the same script, a newer interpreter


def _newest_python() -> "str | None":
    places = os.pathsep.join([os.environ.get("PATH", os.defpath), *_PLACES])
    for minor in range(30, OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}", path=places)
        # The shims of version managers are there even where the version is not.
        if found and _runs(found):
            return found
    return None


def _runs(python: "str | Path") -> bool:
    try:
        done = subprocess.run(
            [str(python), "-c", ""],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0


def environment(name: str, extra: str) -> Path:
    """The Python of the environment `.venv-<name>`, with this clone and an extra installed.

    It is made anew when the interpreter changed or the clone moved, installed into again when
    pyproject.toml changed, and otherwise used as it is.
    """
    home = ROOT / f".venv-{name}"
    python = home / "bin" / "python"
    stamp = home / "ddpcore-stamp.json"
    made_of = [sys.version, os.path.realpath(sys.executable), str(ROOT)]
    pyproject = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    wanted = {"made of": made_of, "installed": [extra, pyproject]}
    existing = _read(stamp)
    if existing == wanted and _runs(python):
        say(f"Using the environment {home.name}.")
        return python
    if existing.get("made of") != made_of or not _runs(python):
        _make(home)
    # Until the installation is complete, the stamp says that it is not.
    stamp.write_text(json.dumps({"made of": made_of}))
    _install(python, extra)
    stamp.write_text(json.dumps(wanted))
    return python


def _read(stamp: Path) -> "dict[str, object]":
    try:
        content = json.loads(stamp.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _make(home: Path) -> None:
    version = ".".join(map(str, sys.version_info[:3]))
    say(f"Making the environment {home.name} with Python {version} ...")
    began = time.monotonic()
    # Debian and its children ship Python without ensurepip; a pip of the system will do as well.
    pip = [] if _has("ensurepip") else ["--without-pip"]
    if not _has("venv") or (pip and not _has("pip")):
        sys.exit(
            "This Python cannot make virtual environments. On Debian and Ubuntu:\n"
            f"    sudo apt-get install python3.{sys.version_info[1]}-venv\n"
            "then run this command again."
        )
    _run([sys.executable, "-m", "venv", "--clear", *pip, str(home)], "Making the environment")
    say(f"    done in {time.monotonic() - began:.1f} s")


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _install(python: Path, extra: str) -> None:
    say(f"Installing ddpcore[{extra}] from this clone; the first time may take a minute or two ...")
    began = time.monotonic()
    own = subprocess.run([str(python), "-c", "import pip"], stderr=subprocess.DEVNULL, check=False)
    # Without a pip of its own the environment is served by the system's.
    pip = [str(python), "-m", "pip"]
    if own.returncode:
        pip = [sys.executable, "-m", "pip", "--python", str(python)]
    options = ["--quiet", "--disable-pip-version-check", "--no-input"]
    _run([*pip, "install", *options, "--editable", f"{ROOT}[{extra}]"], "Installing")
    say(f"    done in {time.monotonic() - began:.1f} s")


def _run(command: "list[str]", what: str) -> None:
    try:
        code = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
    except KeyboardInterrupt:
        sys.exit("Interrupted. The next run begins where this one left off.")
    if code:
        sys.exit(f"{what} failed (exit code {code}); the reason stands above.")
