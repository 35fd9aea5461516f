from django.contrib.auth import get_user_model
from django.db.models import Q

from ddpcore_django.api import (
    API,
    APIMixin,
    Collection,
    MeteorError,
    Publication,
    api_endpoint,
    login_required,
    permission_required,
    staff_only,
    this,
)
from tasks import models

User = get_user_model()


class Task(Collection):
    model = models.Task
    name = "tasks"
    user_rel = "owner"
    fields = ["text", "done", "points", "weight", "note", "due", "parent", "changes"]
    client_insert = ["text", "done", "points", "note", "parent", "due"]
    client_update = ["text", "done", "points", "weight", "note", "parent", "due"]
    client_remove = True

    def may_insert(self, user, obj):
        obj.owner = user
        this.random.id("tasks")  # after the one of the document
        return True


class Card(Collection):
    """Its hooks answer as the card's title wants it."""

    model = models.Card
    name = "cards"
    qs_filter = Q(archived=False)
    client_insert = ["title", "position"]
    client_update = ["title", "position", "color", "archived"]
    client_remove = True

    def objects_for_user(self, user, qs):  # as docs/reference/django.md has it
        return super().objects_for_user(user, qs)

    def answer(self, title):
        if title == "raise":
            raise ZeroDivisionError
        if title == "meteor":
            raise MeteorError("not-today", "Come tomorrow")
        if title == "coroutine":
            return self.later()
        return {"none": None, "one": 1, "text": "yes", "false": False}.get(title, True)

    async def later(self):
        return True

    def may_insert(self, user, obj):
        return self.answer(obj.title)

    def may_update(self, user, obj, fields):
        if "color" in fields:
            return fields["color"] != obj.color and list(fields) == ["color"]
        return self.answer(obj.title)

    def may_remove(self, user, obj):
        return self.answer(obj.title)


class Shelf(Collection):
    """It is restricted, as Meteor calls it: something may be done by clients, but not all."""

    model = models.Shelf
    name = "shelves"
    client_update = ["label"]

    def objects_for_user(self, user, qs):
        return super().objects_for_user(user, qs)


class Plain(Collection):
    model = models.Plain
    name = "plain"

    @api_endpoint("remove")
    def no_mutator(self, *params):
        return "the project's own"


class Everything(Collection):
    model = models.Everything
    name = "everything"
    client_insert = client_update = fields = [
        "decimal", "time", "date", "moment", "duration", "binary", "uuid", "json", "big", "number",
        "yes", "choice", "email", "slug", "text", "address", "shelf", "task", "numbers",
        "span",
    ]  # fmt: skip


class Tasks(Publication):
    queries = [models.Task.objects.all()]


class Cards(Publication):
    queries = [models.Card.objects.all()]


class All(Publication):
    queries = [models.Everything.objects.all()]


@login_required
class GuardedCards(Publication):
    queries = [models.Card.objects.all()]


class MoreGuardedCards(GuardedCards):
    """What a class is made of guards it, too."""

    def get_queries(self):
        return [models.Card.objects.all()]


class CardsByPermission(Publication):
    @permission_required("tasks.view_card", "tasks.change_card")
    def get_queries(self, title: str):
        yield models.Card.objects.filter(title=title)


@staff_only
class CardsOfStaff(Publication):
    queries = [models.Card.objects.all()]


class Mine(Publication):
    def get_queries(self):
        if this.user.is_anonymous:
            return []
        return [models.Card.objects.filter(title=this.user.username)]


class Methods(APIMixin):
    api_path_prefix = "tasks."

    @api_endpoint
    def become(self, name: str | None):
        user = User.objects.get(username=name) if name else None
        this.set_user_id(str(user.pk) if user else None)

    @api_endpoint
    def my_id(self):
        return this.user_id

    @api_endpoint
    def add_two(self):
        user = User.objects.get(pk=this.user_id)
        one = models.Task.objects.create(text="one", owner=user)
        [two] = models.Task.objects.bulk_create([models.Task(text="two", owner=user)])
        return [one.pk, two.pk]

    @api_endpoint
    @login_required
    def below(self, word: str):
        return [word, this.user.username]

    @login_required
    @api_endpoint
    def above(self, word: str):
        return [word, this.user.username]

    @api_endpoint
    @login_required
    async def below_async(self, word: str):
        return [word, this.user.username]

    @login_required
    @api_endpoint
    async def above_async(self, word: str):
        return [word, (await this.auser()).username]

    @api_endpoint
    @permission_required("tasks.add_card", "tasks.change_card")
    def by_permission(self):
        return "yes"

    @api_endpoint
    @permission_required("tasks.add_card", "tasks.change_card")
    async def by_permission_async(self):
        return "yes"

    @api_endpoint
    @staff_only
    def by_staff(self):
        return "yes"

    @api_endpoint
    async def user_on_the_loop(self):
        return str(this.user)

    @api_endpoint
    async def auser(self):
        user = await this.auser()
        return [str(user), user is this.user]

    @api_endpoint
    def this_after_a_call(self):
        context = this.context
        context.call("tasks.user_twice")
        return this.context is context

    @api_endpoint
    async def this_after_a_call_async(self):
        context = this.context
        await context.call("tasks.auser")
        return this.context is context

    @api_endpoint
    def user_twice(self):
        return this.user is this.user

    @api_endpoint
    def user_of_the_moment(self, name: str):
        before = this.user
        self.become(name)
        return [str(before), str(this.user)]


API.register([
    Task, Card, Shelf, Plain, Everything, Tasks, Cards, All, GuardedCards, MoreGuardedCards,
    CardsByPermission, CardsOfStaff, Mine, Methods,
])  # fmt: skip
