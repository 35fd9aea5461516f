"""Where the names of django-ddp 0.19 went."""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "APPS",
    "DROPPED",
    "MINUTES",
    "MODULES",
    "MOVED",
    "PAGE",
    "THIS",
    "Advice",
    "Moved",
    "advice_for",
    "canonical",
]

PAGE = "docs/coming-from/django-ddp.md"


class Moved(NamedTuple):
    """Where a name is now."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Advice(NamedTuple):
    """What to do in the place of something, and the section of the page that says more."""

    text: str
    section: str


def _in_django(name: str) -> Moved:
    return Moved("ddpcore_django", name)


_MOVED = {
    "dddp.AlreadyRegistered": _in_django("AlreadyRegistered"),
    "dddp.MeteorError": _in_django("MeteorError"),
    "dddp.THREAD_LOCAL": _in_django("this"),
    "dddp.this": _in_django("this"),
    "dddp.meteor_random_id": Moved("ddpcore", "random_id"),
    "dddp.api.API": _in_django("API"),
    "dddp.api.APIMixin": _in_django("APIMixin"),
    "dddp.api.AleaIdField": _in_django("AleaIdField"),
    "dddp.api.ArrayAgg": Moved("django.contrib.postgres.aggregates", "ArrayAgg"),
    "dddp.api.Collection": _in_django("Collection"),
    "dddp.api.Publication": _in_django("Publication"),
    "dddp.api.api_endpoint": _in_django("api_endpoint"),
    "dddp.models.AleaIdField": _in_django("AleaIdField"),
    "dddp.views.MeteorView": _in_django("MeteorView"),
}
MODULES = {
    "dddp": "ddpcore_django",
    "dddp.accounts": None,
    "dddp.accounts.ddp": None,
    "dddp.accounts.tests": None,
    "dddp.admin": None,
    "dddp.alea": None,
    "dddp.api": "ddpcore_django.api",
    "dddp.apps": None,
    "dddp.ddp": None,
    "dddp.logging": None,
    "dddp.main": None,
    "dddp.migrations": None,
    "dddp.models": "ddpcore_django.ids",
    "dddp.postgres": None,
    "dddp.tests": None,
    "dddp.views": "ddpcore_django.views",
    "dddp.websocket": None,
}
"""The modules of django-ddp, and those of ours that have what `MOVED` says of them."""

MOVED = {
    f"{module}.{name}": _MOVED[f"dddp.{name}"]
    for module in MODULES
    for name in ("AlreadyRegistered", "MeteorError", "THREAD_LOCAL", "meteor_random_id", "this")
} | _MOVED
"""Names that have a counterpart which is used in the same way: qualified name → place.

Those of the package were imported by most of its modules, and found there by its users.
"""

APPS = {
    "dddp": "ddpcore_django",
    "dddp.apps.DjangoDDPConfig": "ddpcore_django",
    "dddp.accounts": "ddpcore_django.accounts",
}
"""Entries of `INSTALLED_APPS`."""

MINUTES = {
    "DDP_LOGIN_RESUME_MINUTES_VALID": "LOGIN_DAYS",
    "DDP_PASSWORD_RESET_MINUTES_VALID": "RESET_DAYS",
}
"""Settings that were minutes, and the keys of `DDPCORE_ACCOUNTS` that are days."""

DROPPED = "dddp.greenify"
"""A function whose calls can go: there is nothing to patch for green threads."""

THIS = {
    "alea_random": Advice("this.random has the client's seed, ddpcore.random_id() none", "this"),
    "random_streams": Advice("this.random is the streams: this.random.id('collection')", "this"),
    "remote_addr": Advice("this.connection.client_address", "this"),
    "reply": Advice("return the result, or raise MeteorError", "this"),
    "request": Advice("this.connection has client_address and headers, this.user the user", "this"),
    "send": Advice("publish what clients should see: messages are the server's", "this"),
    "serializer": Advice("override Collection.serialize", "this"),
    "subs": Advice("subscriptions are the server's: nothing is in their place", "this"),
    "support": Advice("versions are the server's: nothing is in their place", "this"),
    "user_ddp_id": Advice("this.user_id is the id that clients have", "this"),
    "user_sub_id": Advice("a user sees its own document without a subscription", "this"),
    "version": Advice("versions are the server's: nothing is in their place", "this"),
    "ws": Advice("this.connection; it has id, close() and on_close(callback)", "this"),
}
"""Attributes of `this` that are not there any more."""

_HOOKS = "there are no signals for it: write a hook"
_IDS = "a document's id is its primary key as text: str(obj.pk)"

_GONE = {
    "dddp.ADDED": Advice('write "added"', "dddp"),
    "dddp.CHANGED": Advice('write "changed"', "dddp"),
    "dddp.REMOVED": Advice('write "removed"', "dddp"),
    "dddp.RandomStreams": Advice("this.random", "dddp"),
    "dddp.THREAD_LOCAL_FACTORIES": Advice("this has no attributes of your own", "dddp"),
    "dddp.autodiscover": Advice("the app does this when Django starts", "dddp"),
    "meteor_random_id": Advice(
        "with a name write this.random.id('collection'), with a length ddpcore.random_id(length)",
        "dddp",
    ),
    "dddp.accounts.ddp.create_user": Advice(
        f"{_HOOKS}, ddpcore_validate_new_user, and set SIGNUP; or an endpoint of your own",
        "signals-of-accounts",
    ),
    "dddp.accounts.ddp.forgot_password": Advice(
        "the mail is sent: set ROOT_URL, and override its templates", "signals-of-accounts"
    ),
    "dddp.accounts.ddp.password_changed": Advice(
        "none tells of it; save() of the user is seen by post_save", "signals-of-accounts"
    ),
    "dddp.accounts.ddp.password_reset": Advice(
        "it was never sent; save() of the user is seen by post_save", "signals-of-accounts"
    ),
    "dddp.accounts.ddp.Users": Advice(
        "clients see their own user; what of it says DDPCORE_ACCOUNTS['PROFILE']", "dddpaccountsddp"
    ),
    "dddp.accounts.ddp.Auth": Advice(
        "the methods are there; change what they do by hooks", "dddpaccountsddp"
    ),
    "dddp.models.AleaIdMixin": Advice(
        "write aid = AleaIdField(primary_key=False, unique=True), or make it the primary key",
        "ids-of-documents",
    ),
    "dddp.models.ObjectMapping": Advice(_IDS, "ids-of-documents"),
    "dddp.models.ObjectMappingMixin": Advice(_IDS, "ids-of-documents"),
    "dddp.models.get_meteor_id": Advice(_IDS, "ids-of-documents"),
    "dddp.models.get_meteor_ids": Advice(_IDS, "ids-of-documents"),
    "dddp.models.get_object": Advice(
        "a document's id is its primary key: Model.objects.get(pk=id)", "ids-of-documents"
    ),
    "dddp.models.get_object_id": Advice("the id is the primary key", "ids-of-documents"),
    "dddp.models.get_object_ids": Advice("the ids are the primary keys", "ids-of-documents"),
    "dddp.logging.DDPHandler": Advice(
        "logs do not travel to clients: remove it from LOGGING", "dddplogging"
    ),
}

_OF_MODULES = {
    "dddp": Advice("there is nothing in its place", "dddp"),
    "dddp.accounts": Advice("settings and hooks of accounts stand in its place", "dddpaccountsddp"),
    "dddp.admin": Advice("there are no tables of connections; see the status page", "dddpadmin"),
    "dddp.alea": Advice("this.random draws what the client draws", "dddpalea"),
    "dddp.api": Advice("it was internal to the server", "dddpapi"),
    "dddp.apps": Advice('name "ddpcore_django" in INSTALLED_APPS', "dddpapps"),
    "dddp.ddp": Advice("it was internal to the server", "dddpddp"),
    "dddp.logging": Advice("logs do not travel to clients", "dddplogging"),
    "dddp.main": Advice("serve with `ddpcore serve --settings …`", "dddpmain"),
    "dddp.migrations": Advice("write a migration of Django's own operations", "ids-of-documents"),
    "dddp.models": Advice("connections are not in the database any more", "dddpmodels"),
    "dddp.postgres": Advice("the bus listens by itself", "dddppostgres"),
    "dddp.tests": Advice("test with ddpcore.testing", "dddptests"),
    "dddp.views": Advice("the view has no such helpers", "dddpviews"),
    "dddp.websocket": Advice("it was internal to the server", "dddpwebsocket"),
}


def advice_for(name: str) -> Advice:
    """What to do where a qualified name of django-ddp stands that has not moved."""
    while name:
        rest, _, last = name.rpartition(".")
        if found := _GONE.get(name) or _GONE.get(last) or _OF_MODULES.get(name):
            return found
        name = rest
    raise ValueError("no name of django-ddp")


def canonical(name: str) -> str:
    """One qualified name for each thing, django-ddp's, whichever way it was imported."""
    return _CANONICAL.get(name, name)


_CANONICAL = {
    f"{module}.{old.rpartition('.')[2]}": old
    for old in ("dddp.this", "dddp.MeteorError", "dddp.api.Collection", "dddp.api.Publication")
    for module in (*MODULES, "ddpcore_django", "ddpcore_django.api")
} | {f"{module}.THREAD_LOCAL": "dddp.this" for module in MODULES}
