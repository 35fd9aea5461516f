"""What tests want to know of the server process: its queries, its hashes, its signals."""

import logging

import django.contrib.auth.hashers as django_hashers
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import OperationalError
from django.db.backends.signals import connection_created
from django.dispatch import receiver
from django.views.debug import ExceptionReporter

from ddpcore_django.accounts import publications, tokens
from ddpcore_django.api import API, APIMixin, api_endpoint, this

SCALARS = (str, int, float, bool, bytes, type(None))
spied = {"hashes": 0, "structures": [], "signals": [], "queries": 0, "reads": []}

reports = []


class Reporting(logging.Handler):
    """As Django's `AdminEmailHandler` with `include_html`: with the variables of all frames."""

    def emit(self, record):
        if record.exc_info:
            reports.append(ExceptionReporter(None, *record.exc_info).get_traceback_html())


logging.getLogger("ddpcore").addHandler(Reporting())

_find = tokens.find
_own_document = publications.own_document


def _reading(user):
    spied["reads"].append(user.get_username())
    return _own_document(user)


publications.own_document = _reading

_pbkdf2 = django_hashers.pbkdf2


def _counting(*args, **options):
    spied["hashes"] += 1
    return _pbkdf2(*args, **options)


django_hashers.pbkdf2 = _counting


def _watching(execute, sql, params, many, context):
    spied["queries"] += 1
    values = params.values() if isinstance(params, dict) else params or ()
    spied["structures"] += [repr(each) for each in values if isinstance(each, (dict, list, tuple))]
    return execute(sql, params, many, context)


@receiver(connection_created)
def _connected(connection, **_):
    connection.execute_wrappers.append(_watching)


@receiver(user_logged_in)
def _logged_in(request, user, **_):
    spied["signals"].append(["in", user.get_username(), request.META.get("REMOTE_ADDR")])


@receiver(user_logged_out)
def _logged_out(request, user, **_):
    spied["signals"].append(["out", user.get_username(), request.META.get("REMOTE_ADDR")])


@receiver(user_login_failed)
def _failed(credentials, request, **_):
    address = request.META.get("REMOTE_ADDR") if request else None  # code of the server's own
    spied["signals"].append(["failed", dict(credentials), address])


class Spy(APIMixin):
    api_path_prefix = "test."

    @api_endpoint
    def unlimit(self):
        """Let tests call as often as they like."""
        this.context.server.rate_limiter._rules.clear()

    @api_endpoint
    def lose_the_database(self, lost: bool):
        """From now on tokens cannot be looked for, or can be again."""

        def find(_token):
            raise OperationalError("the connection is lost")

        tokens.find = find if lost else _find

    @api_endpoint
    def spied(self):
        """What has happened since the last time."""
        told = dict(spied)
        spied.update(hashes=0, structures=[], signals=[], queries=0, reads=[])
        return told

    @api_endpoint
    def told(self):
        """What the hooks have been told since the last time."""
        from accountsite import hooks

        told = list(hooks.told)
        hooks.told.clear()
        return told

    @api_endpoint
    def user(self):
        """`this.user` within a method."""
        return [this.user_id, this.user.get_username(), this.user.is_authenticated]

    @api_endpoint
    def login_too_late(self, options):
        """A method that calls `login` when it cannot log in any more."""
        this.unblock()
        this.context.call("login", options)

    @api_endpoint
    def reported(self):
        """What Django's mails to the admins would have said since the last time."""
        told = list(reports)
        reports.clear()
        return told

    @api_endpoint
    def login_twice(self, options):
        """A method that calls `login` and then fails: its transaction is rolled back."""
        this.context.call("login", options)
        raise ValueError("on purpose")


API.register(Spy)
