"""Looks after people from a process that is no server: `python -m desk.office`.

One line of JSON in, `[command, …arguments]`; one line out, the answer.
"""

import json
import sys

import django

django.setup()

from django.contrib.auth import authenticate, get_user_model  # noqa: E402
from django.contrib.auth.hashers import PBKDF2PasswordHasher  # noqa: E402

from ddpcore_django.accounts.mails import send_enrollment_email  # noqa: E402
from ddpcore_django.accounts.models import LoginToken  # noqa: E402
from desk.models import Note  # noqa: E402

User = get_user_model()


def hire(username, password, **fields):
    """A user as Django itself makes them."""
    return str(User.objects.create_user(username, password=password, **fields).pk)


def enroll(username, email):
    """A user who is to choose the password."""
    user = User.objects.create_user(username, email=email)
    send_enrollment_email(user)
    return str(user.pk)


def keep_plainly(username, password):
    """Keep a password as Django did before the project had accounts of ours."""
    hasher = PBKDF2PasswordHasher()
    encoded = hasher.encode(password, hasher.salt(), iterations=1000)
    User.objects.filter(username=username).update(password=encoded)


def set_password(username, password):
    user = User.objects.get(username=username)
    user.set_password(password)
    user.save()


def change(username, **fields):
    user = User.objects.get(username=username)
    for name, value in fields.items():
        setattr(user, name, value)
    user.save()


def knows(username, password):
    """Whether Django's own login takes them."""
    return authenticate(None, username=username, password=password) is not None


def note(username, text):
    return str(Note.objects.create(owner=User.objects.get(username=username), text=text).pk)


def logins(username):
    """How many there are."""
    return LoginToken.objects.filter(user__username=username).count()


def revoke(username):
    """Take back all of them, as the admin does."""
    for login in LoginToken.objects.filter(user__username=username):
        login.delete()


COMMANDS = (hire, enroll, keep_plainly, set_password, change, knows, note, logins, revoke)

if __name__ == "__main__":
    commands = {function.__name__: function for function in COMMANDS}
    for line in sys.stdin:
        command, arguments, fields = json.loads(line)
        print(json.dumps(commands[command](*arguments, **fields)), flush=True)
