"""What serving looks at beforehand: addresses, TLS, origins, proxies, and how many files."""

from __future__ import annotations

import json
import re
import resource
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from ddpcore.checks import Check, Finding
from ddpcore.errors import DDPError
from ddpcore.meteor.options import path_prefix
from ddpcore.origin import Origins
from ddpcore.server import Server
from ddpcore.status import StatusServer
from ddpcore_tornado.command_line import DEFAULT_BIND
from ddpcore_tornado.files import OTHERS
from ddpcore_tornado.instruments import check as check_instruments
from ddpcore_tornado.listening import Address, Binding, bind, parse_binding
from ddpcore_tornado.options import Options
from ddpcore_tornado.status.access import require_token, token
from ddpcore_tornado.tls_check import check_tls
from ddpcore_tornado.unix_socket import UnixAddress, UnixFiles

__all__ = ["is_loopback", "serving_checks"]

PRIVILEGED = 1024
"""Ports below this number are for those who have the privilege."""

PATIENCE = 2.0
"""Seconds that whoever holds our port has to say who it is."""

_LOOPBACK = re.compile(r"127\.[\d.]+|::1|localhost")


def serving_checks(server: Server | None, options: Options) -> list[Check]:
    """The checks."""
    addresses = [*(options.bind or [parse_binding(DEFAULT_BIND)])]
    said = options.forwarded_count
    proxies = said if said is not None else server.options.forwarded_count if server else 0

    wanted = [(each, "--bind") for each in addresses]
    if options.monitor is not None:
        wanted.append((options.monitor, "--monitor"))
    checks = [
        Check("address", lambda: _addresses(wanted, options)),
        Check("monitor", lambda: _monitor(options)),
    ]
    if options.certfile is not None or options.keyfile is not None:
        checks.append(Check("tls", lambda: check_tls(options)))
    checks.append(Check("origins", lambda: _origins(options)))
    checks.append(Check("proxies", lambda: _proxies(addresses, proxies, options)))
    checks.append(Check("limits", lambda: _limits(options)))
    return checks


# --- addresses ----------------------------------------------------------------------------------


def _addresses(wanted: list[tuple[Address, str]], options: Options) -> Iterator[Finding]:
    opened: list[socket.socket] = []  # all at once, as in earnest: two of them may be the same
    try:
        for address, option in wanted:
            yield _address(address, option, options, opened)
    finally:
        files = UnixFiles(opened)
        for each in opened:
            each.close()
        files.remove()


def _address(
    address: Address, option: str, options: Options, opened: list[socket.socket]
) -> Finding:
    what = f"{option} {address}"
    try:
        # The very way in which it is done in earnest.
        sockets = bind([address], option=option)
    except DDPError as problem:
        reason = str(problem)
        if isinstance(problem.__cause__, PermissionError):
            if isinstance(address, Binding) and address.port < PRIVILEGED:
                return Finding.error(
                    f"{what}: a port below {PRIVILEGED} needs a privilege that this user lacks.",
                    "Bind to a higher port behind a proxy, or have systemd open it.",
                )
            return Finding.error(
                f"{what}: this user may not make that file.",
                "Give it a directory of its own, such as /run/ddpcore (systemd: RuntimeDirectory).",
            )
        if "in use" in reason.lower():
            if isinstance(address, Binding) and any(
                each.family != socket.AF_UNIX and each.getsockname()[1] == address.port
                for each in opened
            ):
                return Finding.error(
                    f"{what} is asked for twice.", f"Choose another address with {option}."
                )
            return _taken(address, what, option, options)
        return Finding.error(reason)
    opened += sockets
    if option == "--monitor" and options.status:
        require_token(sockets)
    return Finding.ok(f"{what} is free")


def _monitor(options: Options) -> Finding | None:
    """Whether what is told there can be had."""
    check_instruments(options, monitored=options.monitor is not None)
    if options.status:
        StatusServer(Server(), token=token())  # says what is no token
    told = [f"--{each}" for each in ("metrics", "status") if getattr(options, each)]
    return Finding.ok(f"{' and '.join(told)} at {options.monitor}") if told else None


def _taken(address: Address, what: str, option: str, options: Options) -> Finding:
    paths = (
        ["/healthz"] if option == "--monitor" else [f"{path_prefix(options.root_url)}/sockjs/info"]
    )
    if any(_is_ours(_asked(address, path, tls)) for path in paths for tls in (False, True)):
        return Finding.warning(
            f"{what} is in use, it seems by a ddpcore that runs.",
            "All is well if that is the one to be replaced: stop it first, or give the new one "
            f"another {option}.",
        )
    return Finding.error(
        f"{what} is in use by another program.",
        f"Find it with ss -ltnp and stop it, or choose another address with {option}.",
    )


def _is_ours(answer: str) -> bool:
    """Whether this is the ``info`` of our SockJS, or what our monitor says."""
    with suppress(ValueError):
        found = json.loads(answer)
        return isinstance(found, dict) and ("cookie_needed" in found or "status" in found)
    return False


def _asked(address: Address, path: str, tls: bool) -> str:
    """The body that whoever listens there answers with; empty if there is none."""
    try:
        with _connected(address) as plain:
            if not tls:
                return _get(plain, path)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE  # we tell it nothing
            with context.wrap_socket(plain) as wrapped:
                return _get(wrapped, path)
    except OSError:
        return ""


def _connected(address: Address) -> socket.socket:
    if isinstance(address, UnixAddress):
        unix = socket.socket(socket.AF_UNIX)
        try:
            unix.settimeout(PATIENCE)
            unix.connect(address.path)
        except OSError:
            unix.close()
            raise
        return unix
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104
    return socket.create_connection((host, address.port), PATIENCE)


def _get(connection: socket.socket, path: str) -> str:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    connection.sendall(request.encode())
    heard = b""
    while len(heard) < 65536 and (more := connection.recv(4096)):
        heard += more
    return heard.partition(b"\r\n\r\n")[2].decode(errors="replace")


# --- who comes, and from where ------------------------------------------------------------------


def _origins(options: Options) -> Iterator[Finding]:
    Origins(options.origins)  # says what is none
    well = True
    for each in options.origins:
        if (trouble := _trouble(each, options)) is not None:
            well = False
            yield Finding.warning(*trouble)
    if well:
        more = f", and of {', '.join(options.origins)}" if options.origins else ""
        yield Finding.ok(f"web pages of the same host may connect{more}")


def _trouble(origin: str, options: Options) -> tuple[str, str] | None:
    if origin == "*":
        return (
            "--origin '*': any web page may connect, also from inside the firewall of its reader.",
            "Name the origins of your own pages.",
        )
    if origin == "null":
        return (
            "--origin null lets pages in that hide who they are, and any page can.",
            "Leave it out, unless an app of yours is opened from a file.",
        )
    parts = urlsplit(origin)
    try:
        port = parts.port
    except ValueError:
        return f"--origin {origin}: the port is no number, so no page matches.", "Correct it."
    if (parts.scheme, port) in {("https", 443), ("http", 80)}:
        return (
            f"--origin {origin} matches no page: browsers leave the usual port out.",
            f"Write {parts.scheme}://{parts.hostname}.",
        )
    if (
        parts.scheme == "http"
        and options.certfile
        and not _LOOPBACK.fullmatch(parts.hostname or "")
    ):
        return (
            f"--origin {origin} is a page without TLS, and whoever is on its way can rewrite it.",
            f"Serve it by TLS, and write https://{parts.netloc}.",
        )
    return None


def _proxies(addresses: list[Address], proxies: int, options: Options) -> Finding:
    outside = [each for each in addresses if isinstance(each, Binding) and not is_loopback(each)]
    if proxies:
        if outside:
            return Finding.warning(
                f"{_proxies_say(proxies)}, but {outside[0]} can be reached past them: who comes "
                "that way can claim any address.",
                "Bind to 127.0.0.1 or a Unix socket, or let only the proxies reach the port.",
            )
        return Finding.ok(f"{_proxies_say(proxies)}, and nobody comes past")
    hint = None
    if all(isinstance(each, UnixAddress) for each in addresses):
        hint = "it listens at a Unix socket only, so there must be a proxy"
    elif options.root_url and options.root_url.startswith("https:") and options.certfile is None:
        hint = "--root-url is https, and there is no --certfile, so there must be a proxy"
    if hint is not None:
        return Finding.warning(
            f"--forwarded-count is 0, but {hint}: all clients would seem to be one, and plain.",
            "Say how many proxies there are: --forwarded-count 1.",
        )
    return Finding.ok("none is believed: a client's address is that of its connection")


def _proxies_say(proxies: int) -> str:
    return "1 proxy says whom it hears" if proxies == 1 else f"{proxies} proxies say whom they hear"


def is_loopback(address: Binding) -> bool:
    """Whether only this machine can come there."""
    return _LOOPBACK.fullmatch(address.host) is not None


# --- limits -------------------------------------------------------------------------------------


def _limits(options: Options) -> Finding:
    wanted = options.limits.connections
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)  # serving raises the soft one to it
    each = " in each worker" if options.workers > 1 else ""
    there_are = wanted if hard == resource.RLIM_INFINITY else max(min(wanted, hard - OTHERS), 1)
    if wanted > hard != resource.RLIM_INFINITY:
        return Finding.warning(
            f"A process of this user may open {hard} files: there will be {there_are} connections"
            f"{each}, and not {wanted}.",
            f"Raise the limit (ulimit -Hn, systemd: LimitNOFILE={_round(wanted)}), or say "
            f"--max-connections {there_are}.",
        )
    return Finding.ok(f"{there_are} connections{each}, and files enough for them")


def _round(wanted: int) -> int:
    return 1 << (wanted + OTHERS).bit_length()
