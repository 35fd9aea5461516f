"""Hashers that cost nothing, for tests."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from ddpcore_django.accounts.hashers import DigestHasher


class FastHasher(PBKDF2PasswordHasher):
    algorithm = "fast"
    iterations = 1


class FastMeteorHasher(DigestHasher):
    inner = FastHasher
