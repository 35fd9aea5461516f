"""Certificates of all kinds, as the command sees them."""

from __future__ import annotations

import pytest
from authority import Authority, joined

from ddpcore import DDPError
from ddpcore_tornado.x509 import read_chain


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authorities"), "root")


@pytest.fixture(scope="module")
def between(root):
    return Authority(root.home.parent, "between", by=root)


@pytest.fixture
def tls(check, root):
    """Check with a certificate, on a machine that knows the authority `root`."""

    def run(certfile, keyfile, *arguments, trusting=True):
        env = {"SSL_CERT_FILE": str(root.pem)} if trusting else {}
        return check("--certfile", str(certfile), "--keyfile", str(keyfile), *arguments, env=env)

    return run


def test_a_good_one(tls, between, tmp_path):
    pem, key = between.sign("good")
    report = tls(joined(tmp_path / "full.pem", pem, between.pem), key)
    assert report.code == 0
    report.says("tls", "ok", "is for www.example.com, *.example.org, 127.0.0.1", "89 days are left")
    assert len(report.of("tls")) == 1


def test_without_tls_there_is_no_line(check):
    check().silent("tls")


@pytest.mark.parametrize(
    ("begins", "ends", "level", "text"),
    [
        (-3, -1, "FAIL", "The certificate has expired, on 20"),
        (1, 9, "FAIL", "The certificate holds only from 20"),
        (-1, 13.5, "warn", "The certificate expires in 13 days. Renew it"),
        (-1, 14.5, "ok", "14 days are left"),
    ],
)
def test_dates(tls, root, begins, ends, level, text):
    report = tls(*root.sign(f"dates{ends}", begins=begins, ends=ends))
    report.says("tls", level, text)
    assert len(report.of("tls")) == 1
    assert report.code == (2 if level == "FAIL" else 0)


def test_an_authority_s_date_counts_too(tls, tmp_path):
    mine = Authority(tmp_path, "mine")
    short = Authority(tmp_path, "short", by=mine)
    short.pem.write_text(mine.sign("short", "authority", ends=3)[0].read_text())
    pem, key = mine.sign("leaf")
    report = tls(joined(tmp_path / "full.pem", pem, short.pem), key, trusting=False)
    report.says("tls", "warn", "Certificate 2 of the chain expires in 2 days")


def test_chains(tls, check, root, between, tmp_path):
    pem, key = between.sign("chains")
    tls(pem, key).says("tls", "warn", "one in between is missing", "fullchain.pem")
    wrong = joined(tmp_path / "order.pem", pem, root.pem, between.pem)
    tls(wrong, key).says("tls", "warn", "out of order")
    full = joined(tmp_path / "full.pem", pem, between.pem)
    tls(full, key, trusting=False).says("tls", "warn", "the authority is one of your own")
    tls(root.pem, root.key, trusting=False).says("tls", "warn", "signed by itself")


def test_names(tls, root):
    pem, key = root.sign("names")
    tls(*root.sign("nameless", "nameless")).says("tls", "warn", "names no host")
    meteor = "--meteor", "star.json", "--root-url"
    tls(pem, key, *meteor, "https://WWW.example.com/app").says("tls", "ok", "is for")
    tls(pem, key, *meteor, "https://a.example.org").says("tls", "ok", "is for")
    report = tls(pem, key, *meteor, "https://a.b.example.org")
    report.says("tls", "FAIL", "and not for a.b.example.org of --root-url")


def test_files(tls, check, root, tmp_path):
    pem, key = root.sign("files")
    _, other = root.sign("other")
    tls(pem, other).says("tls", "FAIL", f"the key in {other} belongs to another one")
    tls(tmp_path / "none.pem", key).says("tls", "FAIL", "none.pem: No such file")
    (tmp_path / "bad.pem").write_text("nothing")
    tls(tmp_path / "bad.pem", key).says("tls", "FAIL", "in PEM, in")
    check("--keyfile", str(key)).says("tls", "FAIL", "--keyfile needs --certfile")


def test_a_page_without_tls_beside_a_server_with_it(tls, root):
    report = tls(*root.sign("page"), "--origin", "http://app.example.com")
    report.says("origins", "warn", "a page without TLS", "https://app.example.com")
    tls(*root.sign("page"), "--origin", "http://localhost:3000").says("origins", "ok", "localhost")


def test_damaged_certificates_are_no_crash(root):
    pem, _ = root.sign("damaged")
    lines = pem.read_text().splitlines()
    for place in range(1, len(lines) - 1):
        damaged = [*lines[:place], *lines[place + 1 :]]
        with pytest.raises(DDPError, match="cannot be read"):
            read_chain("\n".join(damaged))
    assert read_chain("nothing") == []
