"""Hooks whose answers are those that the user is called by."""

from ddpcore import MeteorError, hookimpl
from ddpcore_django.accounts.lookup import user_by

told = []


async def _coroutine():
    return True


def _answer(name):
    if name == "raises":
        raise RuntimeError("on purpose")
    if name == "objects":
        raise MeteorError(403, "Not today")
    if name == "coroutine":
        return _coroutine()
    return {"none": None, "false": False, "one": 1, "text": "yes"}.get(name, True)


def _name(user):
    return None if user is None else user.get_username()


@hookimpl
def ddpcore_validate_login(attempt):
    told.append(["validate", attempt.type, attempt.method, _name(attempt.user), attempt.allowed])
    return _answer(_name(attempt.user))


@hookimpl
def ddpcore_validate_new_user(user, connection):
    assert connection.id
    return _answer(_name(user).removeprefix("new-"))


@hookimpl
def ddpcore_second_factor(user, code):
    name = _name(user)
    if not name.startswith("2fa"):
        return None
    if name == "2fa":
        return code == "123456"
    return _answer(name.removeprefix("2fa-"))


@hookimpl
def ddpcore_login(context, options):
    match options:
        case {"magic": str() as name}:
            user = user_by(username=name)
            if user is None:
                raise MeteorError(403, "No magic")
            return ("magic", user)
        case {"wrong": "text"}:
            return "ann"
        case {"wrong": "false"}:
            return False
        case {"wrong": "anonymous"}:
            return ("magic", None)
        case {"wrong": "coroutine"}:
            return _coroutine()
        case {"wrong": "raises"}:
            raise RuntimeError("on purpose")
    return None


@hookimpl
def ddpcore_logged_in(attempt):
    told.append(["in", attempt.type, attempt.method, _name(attempt.user)])
    if _name(attempt.user) == "unlucky":
        raise RuntimeError("on purpose")


@hookimpl
def ddpcore_login_failed(attempt):
    told.append(["failed", attempt.type, attempt.method, _name(attempt.user), str(attempt.error)])


@hookimpl
def ddpcore_logged_out(user, connection):
    assert connection.id
    told.append(["out", _name(user)])
