"""What writers do: the operations of schedules, in transactions that span several of them."""

import itertools

from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError, Error, connection, transaction
from django.db.models import BigIntegerField, F, Func

from schedulesite.queries import condition, model_of

USERS = ["ada", "bob", "cleo", "root"]
"""Their ids are 1, 2, 3, 4; the last is a superuser."""

POSTGRESQL = connection.vendor == "postgresql"


class NextVersion(Func):
    """Evaluated by the database while it holds the row: of two writers the later draws later."""

    template = "nextval('schedule_version')"
    arity = 0
    output_field = BigIntegerField()


_versions = itertools.count(1)


def next_version():
    # All writers to an SQLite file are of one process, and one at a time.
    return NextVersion() if POSTGRESQL else next(_versions)


def table_of(name):
    return model_of(name)._meta.db_table


TABLES = [
    "schedulesite_book_tags",
    *(
        f"schedulesite_{name}"
        for name in ("message", "membership", "room", "note", "book", "tag", "author", "publisher")
    ),
]

POPULATION = """
INSERT INTO schedulesite_publisher (id, name, country, active, version, mark)
VALUES (1, 'a', 'AT', true, 0, ''), (2, 'b', NULL, false, 0, '');
INSERT INTO schedulesite_author (id, name, email, publisher_id, version, mark)
VALUES (1, 'a', 'a@x', 1, 0, ''), (2, 'B', 'b@x', 2, 0, ''), (3, 'ab', 'a@x', NULL, 0, '');
INSERT INTO schedulesite_tag (id, word, version, mark) VALUES (1, 'a', 0, ''), (2, 'b', 0, '');
INSERT INTO schedulesite_book (id, title, price, pages, published, created, author_id, owner_id,
    sequel_to_id, version, mark)
VALUES (1, 'a', 1.10, 1, true, '2026-01-01', 1, 1, NULL, 0, ''),
    (2, 'B', 9.99, NULL, false, NULL, 2, 2, 1, 0, ''),
    (3, 'ab', NULL, 5, NULL, '2025-06-30', NULL, NULL, 2, 0, ''),
    (4, '', 100, 0, true, NULL, 1, 3, NULL, 0, '');
INSERT INTO schedulesite_book_tags (book_id, tag_id) VALUES (1, 1), (1, 2), (2, 1);
INSERT INTO schedulesite_note (id, text, owner_id, version, mark)
VALUES (1, 'a', 1, 0, ''), (2, 'b', 2, 0, '');
INSERT INTO schedulesite_room (id, name, owner_id, version, mark)
VALUES (1, 'a', 1, 0, ''), (2, 'b', NULL, 0, '');
INSERT INTO schedulesite_membership (room_id, user_id, version, mark)
VALUES (1, 2, 0, ''), (2, 3, 0, '');
INSERT INTO schedulesite_message (id, text, room_id, version, mark)
VALUES (1, 'a', 1, 0, ''), (2, 'b', 2, 0, ''), (3, 'ab', 1, 0, '')
"""


def reset(populated):
    """Begin anew. Nobody is told: no client may be there."""
    with transaction.atomic(), connection.cursor() as cursor:
        if POSTGRESQL:
            # Neither triggers nor foreign keys.
            cursor.execute("SET LOCAL session_replication_role = replica")
        for table in TABLES:
            cursor.execute(f"DELETE FROM {table}")
        if populated:
            for statement in POPULATION.split(";"):
                cursor.execute(statement)


STATEMENTS = {
    "update": "UPDATE {table} {set} {stamp} WHERE id = %(pk)s",
    "update all": "UPDATE {table} {set} {stamp}",
    "delete": "DELETE FROM {table} WHERE id = %(pk)s",
    "rekey": "UPDATE {table} SET id = %(other)s, {stamp} WHERE id = %(pk)s",
    "swap": """
        WITH gone AS (DELETE FROM {table} WHERE id = %(pk)s RETURNING *)
        UPDATE {table} {set} {stamp} WHERE id = %(other)s AND id <> %(pk)s""",
    "tag": """
        INSERT INTO schedulesite_book_tags (book_id, tag_id)
        SELECT book.id, tag.id FROM schedulesite_book book, schedulesite_tag tag
        WHERE book.id = %(pk)s AND tag.id = %(other)s ON CONFLICT DO NOTHING""",
    "untag": "DELETE FROM schedulesite_book_tags WHERE tag_id = %(other)s",
    "truncate": "TRUNCATE {table} CASCADE",
}


class Refused(Exception):
    """An operation that cannot be done with the rows there are."""


class Writer:
    """Runs operations one after the other.

    An operation that fails takes its whole transaction with it; what follows up to the end of the
    transaction is skipped. `report` says which marks are committed and which are undone.
    """

    def __init__(self):
        self.atomics = []
        self.marks = []  # of each level
        self.dead = 0  # levels to be closed of a transaction that has failed
        self.held = {}
        self.committed, self.undone = [], []
        self.problem = None

    def run(self, op):
        kind = op["op"]
        if kind in ("begin", "commit", "rollback"):
            getattr(self, kind)()
        elif self.dead:
            self.undone.append(op["mark"])
        else:
            (self.marks[-1] if self.marks else self.committed).append(op["mark"])
            try:
                getattr(self, f"do_{kind}")(**{name: op[name] for name in op if name != "op"})
            except Refused:
                pass  # and nothing was written
            except (DatabaseError, Error, ObjectDoesNotExist) as problem:
                self.problem = f"{type(problem).__name__}: {problem}".strip()
                self.fail(op["mark"])

    def fail(self, mark):
        if not self.atomics:
            # Nobody knows: outside of a transaction the row may be committed, and only the
            # announcement that followed it have failed.
            self.committed.remove(mark)
            return
        self.dead = len(self.atomics)
        while self.atomics:
            self.close(DatabaseError())
            self.undone += self.marks.pop()

    def begin(self):
        if self.dead:
            self.dead += 1
            return
        atomic = transaction.atomic()
        atomic.__enter__()
        self.atomics.append(atomic)
        self.marks.append([])

    def close(self, problem):
        self.atomics.pop().__exit__(problem and type(problem), problem, None)

    def commit(self):
        if self.dead:
            self.dead -= 1
        elif self.atomics:
            marks = self.marks.pop()
            try:
                self.close(None)
            except (DatabaseError, Error) as problem:
                self.problem = f"{type(problem).__name__}: {problem}".strip()
                self.undone += marks
            else:
                (self.marks[-1] if self.marks else self.committed).extend(marks)

    def rollback(self):
        if self.dead:
            self.dead -= 1
        elif self.atomics:
            self.undone += self.marks.pop()
            self.close(DatabaseError())

    def report(self):
        report = {
            "committed": self.committed,
            "undone": self.undone,
            "problem": self.problem,
        }
        self.committed, self.undone, self.problem = [], [], None
        return report

    # What signals see.

    def found(self, model, pk):
        row = model_of(model).objects.filter(pk=pk).first()
        if row is None:
            raise Refused
        return row

    def checked(self, model, values):
        # References to rows that are not there become NULL, or make it impossible.
        values = dict(values)
        for field in model_of(model)._meta.concrete_fields:
            other = values.get(field.attname) if field.is_relation else None
            if other is None or field.related_model._default_manager.filter(pk=other).exists():
                continue
            if not field.null:
                raise Refused
            values[field.attname] = None
        return values

    def do_put(self, mark, model, pk, values, how="save"):
        cls = model_of(model)
        values = self.checked(model, values)
        stamp = {"version": next_version(), "mark": mark}
        if how == "update_or_create":
            if not cls.objects.filter(pk=pk).exists():
                self.complete(cls, values)
            cls.objects.update_or_create(pk=pk, defaults=values | stamp)
            return
        # A row held from an earlier operation may be stale.
        row = self.held.get((model, pk)) if how == "stale" else None
        row = row or cls.objects.filter(pk=pk).first()
        if row is None:
            self.complete(cls, values)
            row = cls(pk=pk, **values, **stamp)
            row.save(force_insert=True)
            return
        for name, value in (values | stamp).items():
            setattr(row, name, value)
        if how == "update_fields":
            row.save(update_fields=[*values, *stamp])
        else:
            row.save()

    def complete(self, cls, values):
        for field in cls._meta.concrete_fields:
            if field.is_relation and not field.null and values.get(field.attname) is None:
                raise Refused

    def do_hold(self, mark, model, pk):
        self.held[model, pk] = self.found(model, pk)

    def do_more_pages(self, mark, pk):
        book = self.found("book", pk)
        book.pages = F("pages") + 1
        book.version, book.mark = next_version(), mark
        # Not a plain save(): should the row be gone meanwhile, that inserts, and F() cannot.
        book.save(update_fields=["pages", "version", "mark"])

    def do_delete(self, mark, model, pk):
        self.found(model, pk).delete()

    def do_delete_where(self, mark, model, where):
        model_of(model).objects.filter(condition(where, None)).delete()

    def do_relate(self, mark, of, pk, how, others):
        """Many-to-many, from both sides: `of` is "book.tags", "tag.books", "room.members"."""
        model, name = of.split(".")
        row = self.found(model, pk)
        manager = getattr(row, name)
        there = manager.model._default_manager.filter(pk__in=others)
        if how == "clear":
            manager.clear()
        else:
            getattr(manager, how)(*([list(there)] if how == "set" else there))

    def do_member(self, mark, room, user, on):
        self.found("room", room)
        Membership = model_of("membership")
        row = Membership.objects.filter(room_id=room, user_id=user).first()
        if on and row is None:
            Membership.objects.create(room_id=room, user_id=user)
        elif not on and row is not None:
            row.delete()

    # What only triggers see.

    def do_update(self, mark, model, where, values):
        values = self.checked(model, values)
        rows = model_of(model).objects.filter(condition(where, None))
        rows.update(**values, version=next_version(), mark=mark)

    def do_update_pages(self, mark, where):
        rows = model_of("book").objects.filter(condition(where, None))
        rows.update(pages=F("pages") + 1, version=next_version(), mark=mark)

    def do_bulk_create(self, mark, model, pks, values, conflicts):
        cls = model_of(model)
        values = self.checked(model, values)
        self.complete(cls, values)
        rows = [cls(pk=pk, **values, version=next_version(), mark=mark) for pk in pks]
        if conflicts == "ignore":
            cls.objects.bulk_create(rows, ignore_conflicts=True)
        else:
            cls.objects.bulk_create(
                rows,
                update_conflicts=True,
                unique_fields=["id"],
                update_fields=[*values, "version", "mark"],
            )

    def do_bulk_update(self, mark, model, pks, values):
        values = self.checked(model, values)
        rows = list(model_of(model).objects.filter(pk__in=pks))
        for row in rows:
            for name, value in values.items():
                setattr(row, name, value)
            row.version, row.mark = next_version(), mark
        model_of(model).objects.bulk_update(rows, [*values, "version", "mark"])

    def do_sql(self, mark, what, model="", pk=0, other=0, text=""):
        if what == "truncate" and self.atomics:
            # Nobody could read the table until the transaction ends, those included whom the
            # schedule waits for.
            raise Refused
        column = {"book": "title", "author": "name", "publisher": "name", "tag": "word"}
        parts = {
            "table": table_of(model) if model else "",
            "set": f"SET {column.get(model, 'text')} = %(text)s, ",
            "stamp": "version = nextval('schedule_version'), mark = %(mark)s",
        }
        params = {"pk": pk, "other": other, "text": text, "mark": mark}
        statement = STATEMENTS[what].format(**parts)
        with connection.cursor() as cursor:
            cursor.execute(statement, params)
