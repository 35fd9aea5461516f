"""The TypeScript compiler, and values as expressions of TypeScript."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "typescript"
TSC = EXAMPLE / "node_modules" / ".bin" / "tsc"


def need_typescript() -> None:
    """Skip the test where there is none; but fail it in CI, where no tier is skipped."""
    if shutil.which("node") is None:
        lack = "no node"
    elif not TSC.exists():
        lack = "no npm packages: npm ci --ignore-scripts --prefix examples/typescript"
    else:
        return
    (pytest.fail if os.environ.get("CI") else pytest.skip)(lack)


def errors(directory: Path, *files: str) -> str:
    """What ``tsc --strict`` has against these files; an empty text if nothing."""
    done = subprocess.run(
        [
            str(TSC), "--strict", "--noEmit", "--pretty", "false", "--target", "es2022",
            "--module", "es2022", "--moduleResolution", "bundler", "--types", "",
            "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", *files,
        ],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )  # fmt: skip
    assert (done.returncode != 0) == bool(done.stdout), done.stderr
    return done.stdout


def expression(value: Any) -> str:
    """A Python value of EJSON as an expression."""
    match value:
        case datetime():
            return f"new Date({int(value.timestamp() * 1000)})"
        case bytes() | bytearray() | memoryview():
            return f"new Uint8Array({list(bytes(value))})"
        case float() if not math.isfinite(value):
            return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
        case dict():
            items = ", ".join(f"[{json.dumps(k)}]: {expression(v)}" for k, v in value.items())
            return f"{{ {items} }}"
        case list() | tuple():
            return f"[{', '.join(map(expression, value))}]"
    return json.dumps(value)


class Assignments:
    """A file of values that are given types: it compiles if all is as it was said."""

    def __init__(self, imports: str) -> None:
        self._lines = [imports]
        self.count = 0

    def fits(self, type: str, value: Any) -> None:
        """The value is of that type."""
        self.count += 1
        self._lines.append(f"export const v{self.count}: {type} = {expression(value)};")

    def fails(self, type: str, value: Any) -> None:
        """It is not, and the compiler says so."""
        self._lines.append("// @ts-expect-error")
        self.fits(type, value)

    def write(self, file: Path) -> None:
        file.write_text("\n".join(self._lines) + "\n")
