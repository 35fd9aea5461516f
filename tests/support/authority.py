"""An authority that makes certificates of all kinds, also such as no real one would."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

CONFIG = """
[ca]
default_ca = own
[own]
database = {home}/index.txt
new_certs_dir = {home}
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = none
unique_subject = no
[any]
commonName = supplied
[leaf]
subjectAltName = {names}
authorityKeyIdentifier = keyid
[nameless]
authorityKeyIdentifier = keyid
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
"""


class Authority:
    """One with a certificate of its own, signed by itself or by another."""

    def __init__(self, directory: Path, name: str, by: Authority | None = None) -> None:
        if shutil.which("openssl") is None:
            lack = "no openssl to make a certificate with"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(lack)
        self.home = directory / name
        self.home.mkdir()
        (self.home / "index.txt").touch()
        self.pem, self.key = (by or self).sign(name, "authority", home=self.home)

    def sign(
        self, name: str, kind: str = "leaf", begins: float = -1, ends: float = 90,
        names: str = "DNS:www.example.com,DNS:*.example.org,IP:127.0.0.1", home: Path | None = None,
    ) -> tuple[Path, Path]:  # fmt: skip
        """A certificate and its key; times are in days from now."""
        home = home or self.home
        pem, key, request = (home / f"{name}.{each}" for each in ("pem", "key", "csr"))
        config = home / f"{name}.cnf"
        config.write_text(CONFIG.format(home=self.home, names=names))
        _openssl(
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-subj", f"/CN={name}", "-keyout", key, "-out", request,
        )  # fmt: skip
        own = ("-selfsign", "-keyfile", key) if home == self.home and kind == "authority" else (
            "-cert", self.pem, "-keyfile", self.key)  # fmt: skip
        _openssl(
            "ca", "-batch", "-notext", "-config", config, "-extensions", kind, *own,
            "-in", request, "-out", pem, "-startdate", _date(begins), "-enddate", _date(ends),
        )  # fmt: skip
        return pem, key


def joined(target: Path, *parts: Path) -> str:
    """Files put together to one; its name."""
    target.write_text("".join(each.read_text() for each in parts))
    return str(target)


def _date(days: float) -> str:
    return f"{datetime.now(UTC) + timedelta(days=days):%Y%m%d%H%M%SZ}"


def _openssl(*arguments: object) -> None:
    done = subprocess.run(
        ["openssl", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
