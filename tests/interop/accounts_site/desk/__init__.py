"""A Django app that exists for the interop tests alone: people have notes on their desks."""
