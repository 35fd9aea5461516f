"""The certificate, as those will see it who connect."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from ddpcore.checks import Finding
from ddpcore.errors import DDPError
from ddpcore_tornado.options import Options
from ddpcore_tornado.tls import Certificate
from ddpcore_tornado.x509 import X509, read_chain

__all__ = ["check_tls"]

SOON = 14
"""Days before the end of a certificate at which one should wonder why it was not renewed: those who
renew by themselves mostly do so a month before."""

# What OpenSSL says of a chain that it does not trust.
_SELF_SIGNED = {18, 19}
_INCOMPLETE = {2, 20, 21}
_NOT_IN_TIME = {9, 10}


def check_tls(options: Options) -> Iterator[Finding]:
    """Files, key, dates, chain and names."""
    if options.certfile is None:
        raise DDPError("--keyfile needs --certfile, the certificate that the key belongs to.")
    context = Certificate(options.certfile, options.keyfile).context
    chain = read_chain(Path(options.certfile).read_text(errors="replace"))
    own, now = chain[0], datetime.now(UTC)
    findings = [*_dates(chain, now), *_trust(context, chain), *_names(own, options)]
    yield from findings
    if not findings:
        yield Finding.ok(
            f"{options.certfile} is for {', '.join(own.names)}, its chain is complete, and "
            f"{_days(own, now)} days are left"
        )


def _days(certificate: X509, now: datetime) -> int:
    return (certificate.ends - now).days


def _dates(chain: Sequence[X509], now: datetime) -> Iterator[Finding]:
    for number, each in enumerate(chain):
        which = "The certificate" if number == 0 else f"Certificate {number + 1} of the chain"
        renew = "Renew it; SIGHUP makes a running server read it."
        if now >= each.ends:
            yield Finding.error(f"{which} has expired, on {each.ends:%Y-%m-%d}.", renew)
        elif now < each.begins:
            yield Finding.error(
                f"{which} holds only from {each.begins:%Y-%m-%d %H:%M} UTC.",
                "Wait until then, or set the clock of this machine.",
            )
        elif _days(each, now) < SOON:
            yield Finding.warning(f"{which} expires in {_days(each, now)} days.", renew)


def _trust(context: ssl.SSLContext, chain: Sequence[X509]) -> Iterator[Finding]:
    for one, by in pairwise(chain):
        if one.issuer != by.subject:
            yield Finding.warning(
                "The chain is out of order: each certificate is to be followed by that of its "
                "issuer.",
                "Put the server's own first, then those between it and the authority.",
            )
            return
    code = _verdict(context)
    if code is None or code in _NOT_IN_TIME:  # of which there is word already
        return
    if code in _SELF_SIGNED:
        yield Finding.warning(
            "The certificate is signed by itself, or by an authority that this machine does not "
            "know: browsers refuse it.",
            "For use by others take one of a public authority, such as Let's Encrypt.",
        )
    elif code in _INCOMPLETE:
        yield Finding.warning(
            "From the certificate no way leads to an authority that this machine knows: one in "
            "between is missing, or the authority is one of your own.",
            "Give --certfile the full chain (certbot: fullchain.pem).",
        )
    else:
        yield Finding.warning(
            f"OpenSSL does not trust the certificate (its code is {code}).",
            "openssl verify -untrusted CHAIN CERTIFICATE says more.",
        )


def _verdict(context: ssl.SSLContext) -> int | None:
    """What a client of this machine would say, in a handshake in memory; None: it trusts it."""
    trusting = ssl.create_default_context()
    trusting.check_hostname = False  # names are looked at by themselves
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(there, back, server_side=True)
    client = trusting.wrap_bio(back, there)
    for _ in range(10):  # more than any handshake takes
        try:
            client.do_handshake()
            return None
        except ssl.SSLCertVerificationError as problem:
            return problem.verify_code
        except ssl.SSLWantReadError:
            with suppress(ssl.SSLWantReadError):
                server.do_handshake()
    raise DDPError("The certificate does not let a handshake come to an end.")


def _names(own: X509, options: Options) -> Iterator[Finding]:
    if not own.names:
        yield Finding.warning(
            "The certificate names no host (it has no subjectAltName): browsers refuse it.",
            "Have one made that does.",
        )
        return
    host = urlsplit(options.root_url or "").hostname
    if host and not any(_matches(host, name.lower()) for name in own.names):
        yield Finding.error(
            f"The certificate is for {', '.join(own.names)}, and not for {host} of --root-url.",
            "Use the certificate of that host, or correct --root-url.",
        )


def _matches(host: str, name: str) -> bool:
    if name.startswith("*."):
        return host.partition(".")[2] == name[2:]
    return host == name
