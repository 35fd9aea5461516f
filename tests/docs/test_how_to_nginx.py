"""docs/how-to/nginx.md, followed literally: its servers, its files, an nginx that reloads."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from deploying import Certificate, free_port
from pages import Block
from reader import Reader, bookstore

MAIN = """
pid {directory}/nginx.pid;
error_log {directory}/error.log;
{user}
events {{ }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    types {{ image/svg+xml svg; }}
    include {directory}/conf.d/*.conf;
}}
"""

# A reload takes effect after its command has ended; if it does not, the log says why.
PROGRAM = """#!/bin/sh
{program} -e {directory}/early.log -p {directory} -c {directory}/main.conf "$@" || exit
case "$*" in *reload) ;; *) exit ;; esac
end=$(($(date +%s) + 60))
until curl -s 127.0.0.1:{port} >/dev/null; do
    [ $(date +%s) -lt $end ] || exec cat {directory}/error.log
    sleep 0.02
done
"""


def program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no {name}: apt-get install {name}")
    return found


class Nginx:
    """One that runs, serves nothing yet, and reads conf.d when it is told to."""

    def __init__(self, directory: Path) -> None:
        self.ports = {"80": free_port(), "443": free_port()}
        self.directory = directory
        (directory / "conf.d").mkdir(parents=True)
        (directory / "bin").mkdir()
        user = "user root;" if os.getuid() == 0 else ""
        (directory / "main.conf").write_text(MAIN.format(directory=directory, user=user))
        self.command = directory / "bin" / "nginx"
        self.command.write_text(
            PROGRAM.format(program=program("nginx"), directory=directory, port=self.ports["80"])
        )
        self.command.chmod(0o755)
        self("-t", "-q")
        self()

    def __call__(self, *arguments: str) -> None:
        subprocess.run(
            [self.command, *arguments], check=True, timeout=30,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def serve(self, text: str) -> None:
        (self.directory / "conf.d" / "ddpcore.conf").write_text(text)


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Nginx]:
    nginx = Nginx(tmp_path / "nginx")
    yield nginx
    nginx("-s", "quit")


@pytest.mark.timeout(300)
def test_every_step_leads_to_two_servers_behind_it(
    tmp_path: Path, nginx: Nginx, pg_dsn: str
) -> None:
    program("haproxy")
    certificate = Certificate(tmp_path, "proxy")
    both = tmp_path / "both.pem"
    both.write_text(certificate.certfile.read_text() + certificate.keyfile.read_text())
    haproxy = tmp_path / "haproxy.cfg"
    instead = {
        "postgres://me:secret@localhost:5432/bookstore": pg_dsn,
        "/etc/haproxy/haproxy.cfg": haproxy,
        "/etc/ssl/ddpcore-with-key.pem": both,
        "/etc/ssl/ddpcore.pem": certificate.certfile,
        "/etc/ssl/ddpcore.key": certificate.keyfile,
        "/srv/mysite/static/": f"{tmp_path}/static/",
        "https://localhost": f"https://localhost:{nginx.ports['443']}",
    }
    shown: list[str] = []
    with Reader(bookstore(tmp_path), instead) as reader:
        reader.env["PATH"] = f"{nginx.command.parent}{os.pathsep}{reader.env['PATH']}"

        def other(block: Block) -> None:
            text = reader.here(block.text)
            shown.append(block.language)
            if block.language == "text":
                haproxy.write_text("global\n    maxconn 1000\n\n" + text)
            elif "server {" in text:
                for old, new in nginx.ports.items():
                    text = text.replace(f"listen {old}", f"listen 127.0.0.1:{new}")
                nginx.serve(text)
            else:
                whole = (nginx.directory / "conf.d" / "ddpcore.conf").read_text()
                nginx.serve(whole.replace("    location / {", f"{text}\n    location / {{", 1))

        reader.read("how-to/nginx.md", others={"nginx": other, "text": other})
        assert shown == ["nginx", "nginx", "text"]
        # The two servers are one for their clients: who stops is not missed.
        reader.terminals[0].end()
        command = "ddpcore sub https://localhost AllBooks --ready --cafile /etc/ssl/ddpcore.pem"
        for _ in range(3):
            assert "Jane Austen" in reader.type(command)
