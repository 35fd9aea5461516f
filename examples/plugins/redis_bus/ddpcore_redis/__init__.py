"""A bus for ddpcore over Redis; see `ddpcore_redis.bus`."""
