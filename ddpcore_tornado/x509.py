"""Certificates, as far as one must read them to say when they end and for which names.

Python's `ssl` tells these things only of a peer whose certificate it trusts. What is needed here is
little: a walk over DER (X.690) along the fields of RFC 5280.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address

from ddpcore.errors import DDPError

__all__ = ["X509", "read_chain"]

_UTC_TIME, _OID = 0x17, 0x06
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87
_SUBJECT_ALT_NAME = bytes([0x55, 0x1D, 0x11])  # 2.5.29.17

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class X509:
    """A certificate.

    Attributes:
        begins: From when it holds.
        ends: Until when.
        names: The host names and addresses it is for (its subjectAltName).
        subject: Who it is about, in DER.
        issuer: Who has signed it, in DER.
    """

    begins: datetime
    ends: datetime
    names: tuple[str, ...]
    subject: bytes
    issuer: bytes


def read_chain(pem: str) -> list[X509]:
    """The certificates of a file in PEM, in its order.

    Raises:
        ddpcore.DDPError: One of them cannot be read.
    """
    try:
        return [
            _read(ssl.PEM_cert_to_DER_cert(_BEGIN + each.partition(_END)[0] + _END))
            for each in pem.split(_BEGIN)[1:]
        ]
    except (ValueError, IndexError, StopIteration) as problem:
        raise DDPError("A certificate of the file cannot be read.") from problem


def _read(der: bytes) -> X509:
    ((_, certificate),) = _parts(der)
    _, signed = next(_parts(certificate))
    fields = [each for each in _parts(signed) if each[0] != _VERSION]
    # serial number, algorithm, issuer, validity, subject, key, and perhaps more
    begins, ends = (_time(*each) for each in _parts(fields[3][1]))
    extensions = next((value for tag, value in fields[6:] if tag == _EXTENSIONS), b"")
    return X509(begins, ends, tuple(_names(extensions)), fields[4][1], fields[2][1])


def _parts(der: bytes) -> Iterator[tuple[int, bytes]]:
    """The tags and contents that stand one behind the other."""
    at = 0
    while at < len(der):
        tag, size, at = der[at], der[at + 1], at + 2
        if size >= 0x80:  # so many bytes of length
            more = size & 0x7F
            size, at = int.from_bytes(der[at : at + more], "big"), at + more
        if at + size > len(der):
            raise ValueError("it ends too early")
        yield tag, der[at : at + size]
        at += size


def _time(tag: int, text: bytes) -> datetime:
    digits = text.decode("ascii")
    if tag == _UTC_TIME:  # of two digits for the year, those from 50 mean the last century
        digits = ("19" if digits >= "5" else "20") + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _names(extensions: bytes) -> Iterator[str]:
    for _, listed in _parts(extensions):
        for _, extension in _parts(listed):
            parts = list(_parts(extension))
            if parts[0] != (_OID, _SUBJECT_ALT_NAME):
                continue
            ((_, names),) = _parts(parts[-1][1])  # the last is the octets; a boolean may precede
            for tag, name in _parts(names):
                if tag == _DNS_NAME:
                    yield name.decode("ascii", "replace")
                elif tag == _IP_ADDRESS:
                    yield str(ip_address(name))
