"""A process beside the server that writes rows, or says what clients should hold.

`python -m schedulesite.driver` reads requests and writes answers, JSON, one a line.
"""

import json
import sys
import traceback
from datetime import UTC, date, datetime

import django

django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.db import connection, models  # noqa: E402

from schedulesite.models import Book  # noqa: E402
from schedulesite.queries import build, condition, model_of  # noqa: E402
from schedulesite.writing import POSTGRESQL, USERS, Writer  # noqa: E402


class Driver:
    def __init__(self):
        self.writer = Writer()

    def prepare(self):
        """What every schedule finds there."""
        for number, name in enumerate(USERS, 1):
            get_user_model().objects.create(pk=number, username=name, is_superuser=name == "root")
        if POSTGRESQL:
            self.sql("CREATE SEQUENCE IF NOT EXISTS schedule_version")

    def sql(self, statement):
        with connection.cursor() as cursor:
            cursor.execute(statement)

    def patience(self, milliseconds):
        """How long a writer waits for another's locks."""
        if POSTGRESQL:
            self.sql(f"SET lock_timeout = {milliseconds}")
            self.sql("SET deadlock_timeout = 20")

    def write(self, op):
        self.writer.run(op)
        return self.writer.report()

    def end(self, how):
        while self.writer.atomics or self.writer.dead:
            self.writer.run({"op": how})
        self.writer.held.clear()
        return self.writer.report()

    # The documents there should be, made as plainly as can be.

    def expected(self, asked):
        return [documents(description, user_id) for description, user_id in asked]

    def visible(self):
        """(collection, row, user): who may see what at this moment."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT 'note', id, owner_id FROM schedulesite_note"
                " UNION SELECT 'message', m.id, s.user_id FROM schedulesite_message m"
                " JOIN schedulesite_membership s ON s.room_id = m.room_id"
                " UNION SELECT 'message', m.id, r.owner_id FROM schedulesite_message m"
                " JOIN schedulesite_room r ON r.id = m.room_id WHERE r.owner_id IS NOT NULL"
                " UNION SELECT 'message', m.id, 4 FROM schedulesite_message m"
            )
            return [[name, str(pk), str(user)] for name, pk, user in cursor.fetchall()]


COLLECTIONS = {"note": ["owner"], "message": ["room__members", "room__owner"]}


def documents(description, user_id):
    queryset = build(description, user_id)
    name = description.get("as")
    if "union" in description:
        description = description["union"][0]
    model = description["model"]
    found = {}
    for row in queryset:
        if isinstance(row, dict):
            key, fields = row["id"], values_of(model_of(model), row)
        else:
            key, fields = row.pk, fields_of(row)
            if "annotate" in description:
                count, _ = description["annotate"]
                fields[count] = getattr(row, count)
            if model == "book" and shows_tags(description):
                links = Book.tags.through.objects.filter(book_id=row.pk).order_by("pk")
                fields["tags_ids"] = [str(pk) for pk in sorted(link.tag_id for link in links)]
        found[str(key)] = fields
    visible = visible_pks(model, user_id)
    if visible is not None:
        found = {key: fields for key, fields in found.items() if key in visible}
    return [name or model, found]


def values_of(model, row):
    fields = {field.attname: field for field in model._meta.concrete_fields}
    return {
        fields[name].column: plain(value, fields[name])
        for name, value in row.items()
        if name != "id"
    }


def fields_of(row):
    deferred = row.get_deferred_fields()
    return {
        field.column: plain(getattr(row, field.attname), field)
        for field in row._meta.concrete_fields
        if field.name != "id" and field.attname not in deferred
    }


def shows_tags(description):
    if "only" in description:
        return "tags" in description["only"]
    return "tags" not in description.get("defer", ())


def visible_pks(model, user_id):
    """The rows of a model that a user may see; None: all."""
    if model not in COLLECTIONS or (model == "message" and user_id == "4"):
        return None
    if user_id is None:
        return set()
    trees = [["is", lookup, int(user_id)] for lookup in COLLECTIONS[model]]
    rows = model_of(model).objects.filter(condition(["or", *trees], user_id))
    return {str(pk) for pk in rows.values_list("pk", flat=True)}


def plain(value, field=None):
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(field, models.ForeignKey):
        return str(value)
    if isinstance(value, int):
        return value
    if isinstance(value, date):
        midnight = datetime(value.year, value.month, value.day, tzinfo=UTC)
        return {"$date": int(midnight.timestamp() * 1000)}
    return str(value)


def main():
    driver = Driver()
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        answer = problem = None
        try:
            answer = getattr(driver, name)(*arguments)
        except Exception:
            problem = traceback.format_exc()
        print(json.dumps([answer, problem]), flush=True)


if __name__ == "__main__":
    main()
