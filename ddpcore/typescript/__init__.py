"""TypeScript declarations of what clients may use of a server: `ddpcore types`."""

__all__: list[str] = []
