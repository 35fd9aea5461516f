"""A Django app that exists for the interop tests alone."""
