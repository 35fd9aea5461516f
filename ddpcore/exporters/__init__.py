"""Plugins that pass on what the instruments of a server tell: to Prometheus, OpenTelemetry, logs.

Each is a plugin of the public hooks and nothing more, so another one can be written beside it.
A server that has none of them pays for none.
"""
