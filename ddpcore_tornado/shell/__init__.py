"""The client for the shell: `ddpcore call`, `ddpcore sub` and `ddpcore load`."""

__all__: list[str] = []
