"""Which web pages may talk to us: as for all transports."""

from ddpcore.origin import Origins, is_readable

__all__ = ["Origins", "is_readable"]
