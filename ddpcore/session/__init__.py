"""One client: the protocol machine, its heartbeat, and its merge box. Pure: no I/O, no clock."""

__all__: list[str] = []
