"""Hashers that cost nothing, for tests."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class FastMeteorHasher(PBKDF2PasswordHasher):
    """Until there is the real one."""

    algorithm = "meteor_fast"
    iterations = 1
