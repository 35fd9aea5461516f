"""Meteor's accounts on `django.contrib.auth`: an optional app, ``"ddpcore_django.accounts"``.

A stock Meteor client signs up, logs in, resumes, logs out, changes and resets its password and
verifies its e-mail address, against any Django user model (docs/reference/accounts.md).
"""

__all__: list[str] = []
