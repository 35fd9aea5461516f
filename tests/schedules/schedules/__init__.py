"""Schedules: generated stories of writers and clients, lived through by real processes.

`steps` says what may happen and draws it, `world` holds the processes, `watcher` is a client that
believes nothing, `play` lives through a schedule and compares what clients hold with what they
should.
"""
