"""The certificate that the server shows, and how a new one takes its place.

A chain is renewed every few weeks, while clients stay connected for longer than that. So the
files are read again on demand (SIGHUP): into a context of its own, which takes the place of the
old one only if all is well. Who is connected keeps what was agreed on.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from pathlib import Path

from ddpcore.errors import DDPError

__all__ = ["Certificate"]

logger = logging.getLogger(__name__)


class Certificate:
    """A chain and its key, in files.

    Args:
        certfile: The chain in PEM, the server's own certificate first.
        keyfile: The private key, if it is not in `certfile`.

    Attributes:
        context: What new connections are to use. TLS 1.2 or later, HTTP/1.1, and no certificates
            of clients; ciphers are those of Python's defaults.
        changed: Called with the new context after each `reload` that went well.

    Raises:
        ddpcore.DDPError: They cannot be used; the text says why.
    """

    def __init__(self, certfile: str, keyfile: str | None = None) -> None:
        self._certfile = certfile
        self._keyfile = keyfile
        self.changed: Callable[[ssl.SSLContext], None] = lambda _: None
        self.context = self._read()

    def reload(self) -> bool:
        """Read the files again; what cannot be used changes nothing, and is logged.

        Returns:
            Whether what they hold is in use now.
        """
        try:
            self.context = self._read()
        except DDPError as problem:
            logger.error("%s The one in use stays.", problem)  # noqa: TRY400
            return False
        self.changed(self.context)
        return True

    def renew(self) -> bool:
        """The same, and it is said also if all went well."""
        renewed = self.reload()
        if renewed:
            logger.info("New connections use the certificate as it is now in %s", self._certfile)
        return renewed

    def _read(self) -> ssl.SSLContext:
        try:
            for name in filter(None, (self._certfile, self._keyfile)):
                with Path(name).open("rb"):  # OpenSSL does not say which file it cannot read
                    pass
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.set_alpn_protocols(["http/1.1"])
            context.load_cert_chain(self._certfile, self._keyfile, password=_ask_nobody)
        except (OSError, ValueError) as problem:  # an SSLError is an OSError
            raise DDPError(
                f"Cannot use the certificate {self._certfile}: {self._why(problem)}."
            ) from problem
        return context

    def _why(self, problem: Exception) -> str:
        key = self._keyfile or self._certfile
        if isinstance(problem, ssl.SSLError):
            if problem.reason == "KEY_VALUES_MISMATCH":
                return f"the key in {key} belongs to another one"
            files = " and ".join(dict.fromkeys([self._certfile, key]))
            return f"{problem}. There must be a certificate and a private key, in PEM, in {files}"
        if isinstance(problem, OSError):
            return f"{problem.filename}: {problem.strerror}"
        return f"the key in {key} is encrypted; decrypt it, say with openssl pkey"


def _ask_nobody() -> str:
    # By default OpenSSL asks at the terminal, and all clients would wait for the answer.
    raise ValueError
