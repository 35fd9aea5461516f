"""The page of a Meteor app: HTML that loads its styles and scripts, and tells it where it is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import quote

from ddpcore.meteor.bundle import Item, Program
from ddpcore.meteor.options import Options

__all__ = ["CONFIG_PATH", "config_script", "page", "public_url"]

CONFIG_PATH = "/meteor_runtime_config.js"
"""Where pages without inline scripts find their configuration."""

_CSS_PLACE = re.compile(r"<meteor-bundled-css[^<>]*>(?:\s*</meteor-bundled-css>)?")


def public_url(url: str, options: Options) -> str:
    """The URL of a script or style as pages name it."""
    if options.bundled_js_css_prefix is None:
        return options.path + url
    return options.bundled_js_css_prefix.rstrip("/") + url


def config_script(config: Mapping[str, Any]) -> str:
    """A script that sets the configuration."""
    return f"__meteor_runtime_config__ = {_json(config)};"


def page(program: Program, config: Mapping[str, Any], options: Options, config_hash: str) -> str:
    """The page of a program.

    Its parts and their order are those of Meteor 3.0.4 (`boilerplate-generator`).

    Args:
        program: What it loads.
        config: `__meteor_runtime_config__`.
        options: How it is served.
        config_hash: What names the configuration where it is no part of the page.
    """
    attributes = "".join(
        f' {name}="{escape(value)}"' for name, value in options.html_attributes.items()
    )
    styles = "\n".join(
        # Clients find by this class what to exchange.
        '<link rel="stylesheet" type="text/css" class="__meteor-css__" '
        f'href="{escape(public_url(each.url or "", options))}"{_integrity(each, options)}>'
        for each in program.of_type("css")
    )
    before, *after = _CSS_PLACE.split(program.head)
    head = before + styles + "".join(after) if after else f"{styles}\n{before}"
    scripts = [
        f'<script type="text/javascript" src="{escape(public_url(each.url or "", options))}"'
        f"{_integrity(each, options)}></script>"
        for each in program.of_type("js")
        if not each.path.startswith("dynamic/")
    ]
    lines = [
        "<!DOCTYPE html>",
        f"<html{attributes}>",
        "<head>",
        head,
        "</head>",
        "<body>",
        program.body,
        _configure(config, options, config_hash),
        *scripts,
        "</body>",
        "</html>",
    ]
    return "\n".join(lines)


def _configure(config: Mapping[str, Any], options: Options, config_hash: str) -> str:
    if options.inline_scripts:
        # Encoded as a part of a URL it holds nothing that would end a string or a script.
        text = quote(_json(config), safe="~()*!.'")
        return (
            '<script type="text/javascript">__meteor_runtime_config__ = '
            f'JSON.parse(decodeURIComponent("{text}"))</script>'
        )
    source = f"{options.path}{CONFIG_PATH}?hash={config_hash}"
    return f'<script type="text/javascript" src="{escape(source)}"></script>'


def _integrity(item: Item, options: Options) -> str:
    if not options.sri or not item.sri:
        return ""
    return f' integrity="sha512-{escape(item.sri)}" crossorigin="anonymous"'


def _json(value: object) -> str:
    # ASCII alone: old browsers take U+2028 in a script for the end of a line.
    return json.dumps(value, separators=(",", ":"))
