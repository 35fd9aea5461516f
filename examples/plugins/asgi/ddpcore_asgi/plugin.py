"""The plugin, found by its entry point: `ddpcore asgi`."""

from __future__ import annotations

import argparse
from typing import Any

from ddpcore import DDPError, hookimpl
from ddpcore.application import application_for
from ddpcore.plugins import make_bus, plugin_manager

__all__ = ["ddpcore_commands"]


@hookimpl
def ddpcore_commands(commands: Any) -> None:
    """Add `ddpcore asgi`."""
    parser = commands.add_parser("asgi", help="serve DDP by uvicorn, until Ctrl-C")
    parser.add_argument(
        "app", nargs="?", metavar="package.module:server", help="a ddpcore.Server to serve"
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="(default: 8000; 0: any)")
    parser.add_argument("--bus", metavar="URL", help="as of `ddpcore serve`")
    # Others have options of their own for what is served, such as Django's --settings.
    plugin_manager().call_all("ddpcore_serve_options", parser=parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    try:
        import uvicorn
    except ImportError as problem:
        raise DDPError("`ddpcore asgi` needs uvicorn: pip install uvicorn websockets") from problem
    from ddpcore_asgi.application import application

    served = application_for(plugin_manager(), options)
    if served is None:
        raise DDPError("Say what to serve: package.module:server, or --settings mysite.settings.")
    server = served.server
    server.bus = make_bus(server.plugins, served.bus_url(options.bus))
    uvicorn.run(
        application(server, site=served.asgi),
        host=options.host,
        port=options.port,
        proxy_headers=False,  # the server counts proxies itself
        ws_max_size=server.options.max_message_size,
        log_config=None,  # as `ddpcore` logs
    )
    return 0
