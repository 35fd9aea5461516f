from django.contrib.auth.hashers import PBKDF2PasswordHasher

from ddpcore_django.accounts.hashers import PBKDF2DigestHasher


class Quick(PBKDF2PasswordHasher):
    """Nobody attacks these users."""

    iterations = 1000


class QuickDigestHasher(PBKDF2DigestHasher):
    inner = Quick
