"""Passwords are hashed by their digests: who sends the one and who sends the other may log in."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.contrib.auth import hashers as django_hashers
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

if not settings.configured:
    settings.configure(
        PASSWORD_HASHERS=["django.contrib.auth.hashers.PBKDF2PasswordHasher"], USE_TZ=True
    )

from ddpcore_django.accounts import hashers
from ddpcore_django.accounts.digest import digest_of
from ddpcore_django.accounts.hashers import DigestHasher, Verdict, check_digest, check_plain

PATH = "ddpcore_django.accounts.hashers"


class Quick(django_hashers.PBKDF2PasswordHasher):
    algorithm = "quick"
    iterations = 2


class QuickDigest(DigestHasher):
    inner = Quick


class SlowerQuick(Quick):
    iterations = 3


class SlowerQuickDigest(DigestHasher):
    inner = SlowerQuick


class OtherDigest(DigestHasher):
    inner = django_hashers.MD5PasswordHasher


def using(*classes):
    return override_settings(
        PASSWORD_HASHERS=[f"{each.__module__}.{each.__qualname__}" for each in classes]
    )


class User:
    """What of a user counts here."""

    def __init__(self, password):
        self.password = password
        self.saved = []

    def has_usable_password(self):
        return django_hashers.is_password_usable(self.password)

    def check_password(self, raw):
        def setter(raw):
            self.password = django_hashers.make_password(raw)

        return django_hashers.check_password(raw, self.password, setter)

    def save(self, update_fields):
        self.saved.append(update_fields)


@pytest.mark.parametrize("name", ["PBKDF2", "Scrypt", "Argon2", "Bcrypt"])
def test_each_of_them(name):
    hasher_class = getattr(hashers, f"{name}DigestHasher")
    if hasher_class.inner.library:
        library = hasher_class.inner.library
        pytest.importorskip(library if isinstance(library, str) else library[1])
    password = "a paßword 😀 of more than 72 bytes " * 4
    with using(hasher_class):
        encoded = django_hashers.make_password(password)
        assert len(encoded) <= 128
        assert encoded.startswith("m_")
        assert django_hashers.check_password(password, encoded)
        assert not django_hashers.check_password(password[:-1], encoded)
        assert not django_hashers.check_password(digest_of(password), encoded)
        user = User(encoded)
        assert check_digest(user, digest_of(password)) is Verdict.RIGHT
        assert check_digest(user, digest_of("else")) is Verdict.WRONG
        assert user.saved == []
        assert not hasher_class().must_update(encoded)
        assert hasher_class().decode(encoded)["algorithm"] == hasher_class.algorithm
        assert hasher_class().safe_summary(encoded)["algorithm"] == hasher_class.algorithm
        assert (
            check_digest(User(hashers.hash_digest(digest_of("new"))), digest_of("new"))
            is Verdict.RIGHT
        )


@given(st.text(), st.text())
def test_both_kinds_of_login_agree(password, other):
    with using(QuickDigest):
        user = User(django_hashers.make_password(password))
        assert check_plain(user, password)
        assert check_digest(user, digest_of(password)) is Verdict.RIGHT
        is_same = digest_of(password) == digest_of(other)
        assert check_plain(user, other) is is_same
        assert (check_digest(user, digest_of(other)) is Verdict.RIGHT) is is_same


def test_an_old_hash_upgrades_by_the_next_plain_login():
    with using(Quick):
        user = User(django_hashers.make_password("secret"))
    with using(QuickDigest, Quick):
        assert hashers.tells_of_plain()
        assert check_digest(user, digest_of("secret")) is Verdict.PLAIN_NEEDED
        assert check_digest(user, digest_of("wrong")) is Verdict.PLAIN_NEEDED
        assert not check_plain(user, "wrong")
        assert user.password.startswith("quick$")
        assert check_plain(user, "secret")
        assert user.password.startswith("m_quick$")
        assert check_digest(user, digest_of("secret")) is Verdict.RIGHT
    with using(QuickDigest):
        assert not hashers.tells_of_plain()


@pytest.mark.parametrize("old", [SlowerQuickDigest, OtherDigest])
def test_a_right_digest_is_hashed_anew(old):
    with using(old):
        user = User(django_hashers.make_password("secret"))
    before = user.password
    with using(QuickDigest, OtherDigest):
        assert check_digest(user, digest_of("wrong")) is Verdict.WRONG
        assert (user.password, user.saved) == (before, [])
        assert check_digest(user, digest_of("secret")) is Verdict.RIGHT
        assert user.saved == [["password"]]
        assert user.password.startswith("m_quick$2$")
        assert check_plain(user, "secret")


def test_whoever_is_refused_has_cost_one_hash(monkeypatch):
    """As many iterations for each: the times themselves are compared in bench/."""
    spent = []
    encode = Quick.encode

    def counted(self, password, salt, iterations=None):
        spent.append(iterations or self.iterations)
        return encode(self, password, salt, iterations)

    with using(SlowerQuickDigest):
        cheaper = User(django_hashers.make_password("secret").replace("$3$", "$2$"))
    with using(SlowerQuickDigest, django_hashers.MD5PasswordHasher):
        users = {
            "nobody": None,
            "wrong password": User(django_hashers.make_password("secret")),
            "no password": User(django_hashers.make_password(None)),
            "nonsense": User("no hash at all"),
            "unknown hasher": User("gone$1$salt$hash"),
            "old": User(django_hashers.make_password("secret", hasher="md5")),
            "of lower cost": cheaper,
        }
        monkeypatch.setattr(Quick, "encode", counted)
        costs = {}
        for name, user in users.items():
            spent.clear()
            assert check_digest(user, digest_of("guess")) is not Verdict.RIGHT
            costs[name] = sum(spent)
        assert set(costs.values()) == {3}, costs
        for name in ("nobody", "wrong password", "no password", "nonsense", "unknown hasher"):
            spent.clear()
            assert not check_plain(users[name], "guess")
            assert sum(spent) == 3, name


def test_without_a_hasher_of_digests():
    with using(Quick), pytest.raises(ValueError, match="PBKDF2DigestHasher"):
        hashers.hash_digest(digest_of("secret"))


@pytest.mark.pg
@pytest.mark.parametrize("users", ["django", "custom"])
def test_djangos_own_ways_in(project, shell):
    field = "email" if "custom" in project.env["DJANGO_SETTINGS_MODULE"] else "username"
    project.env["DJANGO_SUPERUSER_PASSWORD"] = "secret 😀"
    mail = [] if field == "email" else ["--email", "root@example.org"]
    project.manage("createsuperuser", "--noinput", f"--{field}", "root@example.org", *mail)
    shell(
        "from django.contrib.auth import authenticate\n"
        "from django.test import Client\n"
        "from ddpcore_django.accounts.digest import digest_of\n"
        "from ddpcore_django.accounts.hashers import Verdict, check_digest\n"
        "root = User.objects.get()\n"
        "assert root.password.startswith('m_fast$')\n"
        "assert check_digest(root, digest_of('secret 😀')) is Verdict.RIGHT\n"
        "assert authenticate(username='root@example.org', password='secret 😀') == root\n"
        "assert authenticate(username='root@example.org', password=digest_of('secret 😀')) is None\n"
        "client = Client()\n"
        "answer = client.post('/admin/login/?next=/admin/', "
        "{'username': 'root@example.org', 'password': 'secret 😀'})\n"
        "assert (answer.status_code, answer['Location']) == (302, '/admin/')\n"
        "assert client.get('/admin/').status_code == 200\n"
        "from django.contrib.auth.hashers import make_password\n"
        "User.objects.update(password=make_password('old', hasher='md5'))\n"
        "assert authenticate(username='root@example.org', password='old') == root\n"
        "root.refresh_from_db()\n"
        "assert check_digest(root, digest_of('old')) is Verdict.RIGHT\n"
    )
