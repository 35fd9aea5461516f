"""A certificate that is renewed while clients are connected."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess

import pytest
from deploying import Certificate, client, shown_at
from workers import ended, pids_of, running, until

from ddpcore import DDPError
from ddpcore_tornado import tls

WORKERS = pytest.mark.parametrize("workers", ["1", "2"])


@pytest.fixture
def old(tmp_path):
    return Certificate(tmp_path, "old")


@pytest.fixture
def new(tmp_path):
    return Certificate(tmp_path, "new")


@pytest.fixture
def serve(commands, old):
    """Serve with `old`, in files that can be replaced."""
    certfile, keyfile = commands.directory / "live.pem", commands.directory / "live.key"
    old.copy_to(certfile, keyfile)

    def serve(workers):
        command = commands.serve(
            "--workers", workers, "--certfile", str(certfile), "--keyfile", str(keyfile)
        )
        if workers != "1":
            return command.serving()
        command.addresses = [command.line().split("//")[1].rstrip("/\n")]
        command.line()
        return command

    serve.files = certfile, keyfile
    return serve


@WORKERS
async def test_new_connections_get_the_new_one_and_old_ones_stay(serve, old, new, workers):
    command = serve(workers)
    url = f"wss://{command.address}/websocket"
    assert await shown_at(command.address) == old.der
    async with client(url, ssl=old.trust) as there:
        new.copy_to(*serve.files)
        command.process.send_signal(signal.SIGHUP)
        await until(lambda: command.said("INFO .*New connections use the certificate"))
        alike = 0
        while alike < 20:  # a worker may have yet to hear of it
            alike = alike + 1 if await shown_at(command.address) == new.der else 0
        for _ in range(10):
            async with client(url, ssl=new.trust) as another:
                assert await another.call("pid")
        assert await there.call("pid") in getattr(command, "workers", [command.pid])
    assert await ended(command, signal.SIGTERM) == 0
    assert len(command.errors) == 1, command.errors


@WORKERS
async def test_what_cannot_be_used_changes_nothing(serve, old, new, workers):
    command = serve(workers)
    certfile, keyfile = serve.files
    shown = []
    for spoil, text in (
        (lambda: shutil.copy(new.certfile, certfile), f"the key in {keyfile} belongs to another"),
        (keyfile.unlink, f"{keyfile}: No such file"),
        (lambda: certfile.write_text("nothing"), "There must be a certificate and a private key"),
    ):
        old.copy_to(certfile, keyfile)
        spoil()
        command.process.send_signal(signal.SIGHUP)
        await until(lambda: command.said(f"ERROR .*{text}.*The one in use stays"))
        shown.append(await shown_at(command.address))
        async with client(f"wss://{command.address}/websocket", ssl=old.trust) as there:
            assert await there.call("pid")
    assert shown == [old.der] * 3
    new.copy_to(certfile, keyfile)
    command.process.send_signal(signal.SIGHUP)
    await until(lambda: command.said("INFO .*New connections"))
    assert await ended(command, signal.SIGTERM) == 0
    assert len(command.errors) == 4, command.errors


async def test_workers_that_come_later_use_the_new_one(serve, new):
    command = serve("2")
    new.copy_to(*serve.files)
    command.process.send_signal(signal.SIGHUP)
    await until(lambda: command.said("New connections"))
    for pid in command.workers:
        os.kill(pid, signal.SIGKILL)
    await until(lambda: sum("serves" in line for line in list(command.errors)) == 2)
    for _ in range(10):
        assert await shown_at(command.address) == new.der
    assert await ended(command, signal.SIGTERM) == 0


async def test_a_worker_leaves_the_signal_to_its_parent(serve, old, new):
    command = serve("2")
    new.copy_to(*serve.files)
    for pid in command.workers:
        os.kill(pid, signal.SIGHUP)
    for _ in range(5):
        assert await shown_at(command.address) == old.der
    assert all(map(running, command.workers))
    assert await ended(command, signal.SIGTERM) == 0
    assert not command.errors


@WORKERS
async def test_without_tls_the_signal_means_what_it_always_does(commands, workers):
    command = commands.serve("--workers", workers)
    if workers == "2":
        command.serving()
        assert await pids_of(command.address, 2) == set(command.workers)
    else:
        command.line()
    assert await ended(command, signal.SIGHUP) == -signal.SIGHUP
    for pid in getattr(command, "workers", ()):
        await until(lambda: not running(pid))


async def test_old_versions_are_refused(serve, old):
    command = serve("1")
    host, port = command.address.split(":")
    openssl = subprocess.run(
        ["openssl", "s_client", "-connect", f"{host}:{port}", "-tls1_1", "-cipher",
         "DEFAULT@SECLEVEL=0", "-alpn", "h2,http/1.1"],
        input="", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert openssl.returncode != 0
    good = subprocess.run(
        ["openssl", "s_client", "-connect", f"{host}:{port}", "-tls1_2", "-alpn", "h2,http/1.1"],
        input="", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "ALPN protocol: http/1.1" in good.stdout
    assert await ended(command, signal.SIGTERM) == 0


def test_an_encrypted_key_is_not_asked_for(old, tmp_path):
    locked = tmp_path / "locked.key"
    subprocess.run(
        ["openssl", "pkey", "-aes256", "-passout", "pass:secret", "-in", old.keyfile,
         "-out", locked],
        check=True,
    )  # fmt: skip
    with pytest.raises(DDPError, match=f"the key in {locked} is encrypted; decrypt it"):
        tls.Certificate(str(old.certfile), str(locked))


def test_a_file_with_both(old, tmp_path):
    both = tmp_path / "both.pem"
    both.write_text(old.certfile.read_text() + old.keyfile.read_text())
    assert tls.Certificate(str(both)).context.minimum_version == ssl.TLSVersion.TLSv1_2
    with pytest.raises(DDPError, match=f"private key, in PEM, in {old.certfile}\\."):
        tls.Certificate(str(old.certfile))
