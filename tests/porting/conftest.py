"""django-ddp itself, as it was published: it is read, and never run."""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urljoin
from urllib.request import urlopen

import pytest

NAME = "django-ddp-0.19.1"
SHA256 = "ca3433390204bc82658a4dc758d1197c8957be29077bf3118621d64d42678309"


@pytest.fixture(scope="session")
def predecessor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Its source distribution, unpacked. (pip would run its setup.py, which no Python can today.)"""
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/") + "/django-ddp/"
    try:
        with urlopen(index, timeout=30) as page:
            links = re.findall(r'href="([^"]+)"', page.read().decode())
        link = next(each for each in links if f"/{NAME}.tar.gz" in each)
        with urlopen(urljoin(index, link), timeout=30) as file:
            data = file.read()
    except (URLError, TimeoutError, ConnectionError) as problem:
        pytest.skip(f"needs the package index {index}: {problem}")
    assert hashlib.sha256(data).hexdigest() == SHA256
    place = tmp_path_factory.mktemp("django-ddp")
    (place / "archive").write_bytes(data)
    with tarfile.open(place / "archive") as archive:
        archive.extractall(place, filter="data")
    yield place / NAME
