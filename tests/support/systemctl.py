"""What the tutorial needs of `systemctl --user`: a service that says when it is ready.

A stand-in for machines without systemd, and so that nobody's own services are touched. It knows units
with `Type=notify`, and remembers what it has started in files beside them.
"""

from __future__ import annotations

import configparser
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

UNITS = Path.home() / ".config" / "systemd" / "user"
PATIENCE = 60.0


def main(command: str, *rest: str) -> None:
    """Do what one command line says."""
    names = [each for each in rest if not each.startswith("-")]
    now = "--now" in rest
    for name in names:
        unit = UNITS / f"{name}.service"
        if not unit.exists():
            sys.exit(f"Unit {name}.service could not be found.")
        if command in ("stop", "restart") or (command == "disable" and now):
            stop(unit)
        if command in ("start", "restart") or (command == "enable" and now):
            start(unit)
        if command == "is-active":
            print("active" if process(unit) else "inactive")
    if command not in (
        "daemon-reload",
        "stop",
        "restart",
        "disable",
        "start",
        "enable",
        "is-active",
    ):
        sys.exit(f"This stand-in knows no {command}.")


def start(unit: Path) -> None:
    """Start the service, and wait until it says that it is ready."""
    read = configparser.RawConfigParser(strict=False)
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read_string(unit.read_text().replace("%h", str(Path.home())))
    service = read["Service"]
    if service["Type"] != "notify":
        sys.exit("This stand-in knows Type=notify only.")
    lines = Path(service["EnvironmentFile"]).read_text().splitlines()
    address = f"\0{unit}-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(address)
        heard.settimeout(PATIENCE)
        with unit.with_suffix(".log").open("ab") as log:
            started = subprocess.Popen(
                shlex.split(service["ExecStart"]),
                cwd=service["WorkingDirectory"],
                env=os.environ
                | dict(line.split("=", 1) for line in lines)
                | {"NOTIFY_SOCKET": "@" + address[1:]},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        unit.with_suffix(".pid").write_text(str(started.pid))
        while "READY=1" not in heard.recv(4096).decode().splitlines():
            pass


def stop(unit: Path) -> None:
    """Stop the service, and wait for its end."""
    number = process(unit)
    if number:
        os.kill(number, signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while process(unit):
            if time.monotonic() > deadline:
                os.killpg(number, signal.SIGKILL)
            time.sleep(0.05)
    unit.with_suffix(".pid").unlink(missing_ok=True)


def process(unit: Path) -> int | None:
    """The number of the service's process, if it runs."""
    file = unit.with_suffix(".pid")
    if not file.exists():
        return None
    number = int(file.read_text())
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(") ")[2]
    except (FileNotFoundError, ProcessLookupError):  # the latter if it ends while it is read
        return None
    return None if state.startswith("Z") else number


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] != ["--user"] or len(arguments) < 2:
        sys.exit("This stand-in is for systemctl --user.")
    main(*arguments[1:])
