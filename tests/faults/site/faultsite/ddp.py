from pathlib import Path

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import Count, Exists, F, Func, IntegerField, OuterRef, Q, Value

from ddpcore_django.api import API, APIMixin, Collection, Publication, api_endpoint, this
from faultsite import models

User = get_user_model()


def published(model, **attributes):
    return type(model.__name__, (Collection,), {"model": model, **attributes})


class Secret(Collection):
    model = models.Secret

    def objects_for_user(self, user, qs=None):
        belongs = User.groups.through.objects.filter(group_id=OuterRef("group_id"), user_id=user.pk)
        return self.get_queryset(qs).filter(Exists(belongs))


class OfGroup(Collection):
    """The same rule, declared."""

    model = models.Secret
    name = "of_group"
    user_rel = "group__user"


collections = [
    published(models.Shelf),
    published(models.Item),
    published(models.Room, user_rel=["owner", "members"], always_allow_superusers=True),
    published(models.Membership),
    published(
        models.Note,
        user_rel=["owner", "room__members"],
        qs_filter=Q(rank__gte=0),
        always_allow_superusers=True,
    ),
    Secret,
    OfGroup,
    published(models.Person),
    published(models.Country),
    published(models.City),
    published(models.Mark),
    published(Group, fields=["name"]),
    published(User, fields=["username"]),
]


class Waiting(Func):
    """1, once nobody holds the advisory lock 7."""

    template = "(pg_advisory_xact_lock_shared(7) IS NULL)::int + 1"
    output_field = IntegerField()


Item = models.Item.objects

QUERIES = {
    "items": Item.all,
    "number": lambda number: Item.filter(number=number),
    "range": lambda low, high: Item.filter(number__range=(low, high)),
    "priced": lambda price: Item.filter(price=price),
    "on": lambda name: Item.filter(shelf__name=name),
    "not on": lambda name: Item.exclude(shelf__name=name),
    "counts": lambda: models.Shelf.objects.annotate(count=Count("item")),
    "newest": lambda: Item.order_by("-number", "-id")[:3],
    "marked": lambda: Item.annotate(twice=F("number") * Value(2)),
    "waiting": lambda least=0: models.Shelf.objects.filter(pk__gt=-least).annotate(
        waited=Waiting()
    ),
    "shelves": models.Shelf.objects.all,
    "rooms": models.Room.objects.all,
    "memberships": models.Membership.objects.all,
    "notes": models.Note.objects.all,
    "texts": lambda text: models.Note.objects.filter(text=text),
    "secrets": models.Secret.objects.all,
    "of_group": lambda: (models.Secret.objects.all(), "of_group"),
    "people": models.Person.objects.all,
    "cities": lambda name: models.City.objects.filter(country__name=name),
    "countries": models.Country.objects.all,
}


class Shown(Publication):
    """Any of the queries, each given as a list of its name and its parameters."""

    def get_queries(self, *wanted):
        return [QUERIES[name](*params) for name, *params in wanted]


class Methods(APIMixin):
    api_path_prefix = ""

    @api_endpoint
    def mark(self):
        models.Mark.objects.create()

    @api_endpoint
    def log_in(self, username):
        user = User.objects.get(username=username) if username else None
        this.set_user_id(str(user.pk) if user else None)

    @api_endpoint
    def add_item(self, number):
        models.Item.objects.create(number=number)

    @api_endpoint
    def database(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return cursor.fetchone()[0]

    @api_endpoint
    async def held(self):
        """What the server holds for its clients."""
        server = this.context.server
        crossbar = server.crossbar
        return {
            "sessions": len(server.sessions),
            "observers": crossbar.observers,
            "tables": len(crossbar._tables),
            "polled": len(crossbar._polled),
            "linked": len(crossbar._linked),
            "topics": sorted(crossbar._listening),
            "channels": sorted(server.bus._topics.values()),
            "tasks": len(crossbar._tasks),
            "waiting": len(crossbar._waiting),
        }

    @api_endpoint
    async def memory(self):
        """The server's resident memory, in MB."""
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


API.register([*collections, Shown, Methods])
