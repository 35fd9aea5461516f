"""Contracts as test-suites: what a bus or a transport of your own must pass."""
