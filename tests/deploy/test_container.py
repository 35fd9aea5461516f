"""examples/deploy/Containerfile: its steps and its commands, with directories in place of layers.

What it copies, installs and runs is done in earnest, with the paths of the image below a temporary
directory. There is no container: that layers and users are as they should be is read off the file.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from deploying import free_port
from project import PATIENCE, ROOT
from workers import until

FILE = ROOT / "examples" / "deploy" / "Containerfile"
KNOWN = {
    "FROM", "RUN", "COPY", "WORKDIR", "ENV", "USER", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL", "CMD",
}  # fmt: skip


def instructions() -> list[tuple[str, str]]:
    lines = [line for line in FILE.read_text().splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def one(word: str) -> str:
    """What follows the only instruction of that name in the last stage."""
    found = instructions()
    last = max(place for place, (each, _) in enumerate(found) if each == "FROM")
    (rest,) = [rest for each, rest in found[last:] if each == word]
    return rest


@dataclass
class Image:
    """The image as a directory."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"

    def path(self, text: str) -> str:
        """A path, or a word of a command, of the image as one of ours."""
        return re.sub(r"(?<![\w.:/])(/(?:venv|wheels|srv)\b)", rf"{self.root}\1", text)

    def environ(self, **more: str) -> dict[str, str]:
        own = {name: self.path(text) for name, text in self.env.items()}
        return {"HOME": "/nowhere", "PATH": os.environ["PATH"]} | own | more


@pytest.fixture(scope="session")
def image(tmp_path_factory) -> Image:
    """The image of the bookstore; the wheel of this tree is in wheels/."""
    image = Image(tmp_path_factory.mktemp("image"))
    context = tmp_path_factory.mktemp("context")
    ignored = shutil.ignore_patterns("__pycache__", "*.sqlite3*")
    shutil.copytree(ROOT / "examples" / "bookstore", context, ignore=ignored, dirs_exist_ok=True)
    made = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(context / "wheels")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    for word, rest in instructions():
        assert word in KNOWN
        if word == "FROM":
            image.env, image.workdir = {}, "/"
        elif word == "ENV":
            image.env |= dict(each.split("=", 1) for each in shlex.split(rest))
        elif word == "WORKDIR":
            image.workdir = rest
        elif word == "COPY" and not rest.startswith("--from=build /venv /venv"):
            source, target = rest.split()
            shutil.copytree(context / source, image.path(target), dirs_exist_ok=True)
        elif word == "RUN":
            command = [image.path(each) for each in json.loads(rest)]
            if command[0] in ("python", "pip"):  # those of the base image
                command = [
                    sys.executable,
                    *(["-m", "pip"] if command[0] == "pip" else []),
                    *command[1:],
                ]
            done = subprocess.run(
                command, env=os.environ | {"PYTHONPATH": ""}, capture_output=True, text=True,
                check=False, timeout=300,
            )  # fmt: skip
            if done.returncode and "pip" in command and not os.environ.get("CI"):
                pytest.skip(f"pip finds not all that is needed: {done.stderr}")
            assert done.returncode == 0, done.stderr
    return image


def test_the_last_stage_has_no_tools_and_no_root():
    found = instructions()
    last = max(place for place, (each, _) in enumerate(found) if each == "FROM")
    assert found[last][1].endswith("-slim")
    assert "RUN" not in {each for each, _ in found[last:]}
    user, group = one("USER").split(":")
    assert user.isdecimal() and int(user) > 0 and int(group) > 0
    assert one("STOPSIGNAL") == "SIGTERM"
    for word in ("CMD", "HEALTHCHECK"):  # as they are, and not through a shell
        assert json.loads(one(word)[one(word).index("[") :])
    assert "--only-binary" in FILE.read_text()


@pytest.mark.index
@pytest.mark.timeout(400)
def test_what_is_installed(image):
    assert Path(image.path("/venv/bin/ddpcore")).exists()
    assert not list(Path(image.path("/venv")).glob("bin/pip*"))
    code = "import ddpcore, sys; print(ddpcore.__file__, *sys.path)"
    done = subprocess.run(
        [image.path("/venv/bin/python"), "-c", code], env=image.environ(), cwd="/",
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith(image.path("/venv/"))
    assert str(ROOT) not in done.stdout


@pytest.mark.index
@pytest.mark.timeout(400)
async def test_it_serves_is_healthy_and_stops(image, tmp_path):
    ports = {"8000": str(free_port()), "9000": str(free_port())}

    def ours(text: str) -> str:
        return re.sub("8000|9000", lambda it: ports[it[0]], text)

    def start(command: list[str]) -> subprocess.Popen:
        environ = image.environ(BOOKSTORE_DB=str(tmp_path / "shop.sqlite3"))
        found = shutil.which(command[0], path=environ["PATH"])
        return subprocess.Popen(
            [found, *map(ours, command[1:])], env=environ, cwd=image.path(image.workdir),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    health = json.loads(one("HEALTHCHECK").partition("CMD ")[2])

    def healthy() -> bool:
        with start(health) as process:
            process.communicate(timeout=PATIENCE)
        return process.returncode == 0

    assert not healthy()
    server = start(json.loads(one("CMD")))
    try:
        await until(healthy)
        server.send_signal(getattr(signal, one("STOPSIGNAL")))
        said, _ = server.communicate(timeout=10)  # which is what Docker gives it
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    assert server.returncode == 0, said
    assert f":{ports['8000']}/" in said
    assert "Monitor on" in said
    assert not healthy()
