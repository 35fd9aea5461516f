"""Registers the PostgreSQL bus with ddpcore."""
