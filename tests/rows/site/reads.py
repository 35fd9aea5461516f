"""Reads in one snapshot."""

from django.db import connection, transaction
from django.db.utils import InternalError
from django.test.utils import CaptureQueriesContext
from rowsite.models import Member

from ddpcore_django.rows import reading


def one_moment(other):
    """Nothing that is committed meanwhile is seen, and the snapshot says so."""
    Member.objects.create(code="before")
    with reading() as snapshot:
        assert Member.objects.count() == 1
        with other.cursor() as cursor:
            cursor.execute(
                "INSERT INTO rowsite_member (code) VALUES ('meanwhile')"
                " RETURNING pg_current_xact_id()::text"
            )
            meanwhile = int(cursor.fetchone()[0])
        assert Member.objects.count() == 1
        assert not snapshot.sees(meanwhile)
    with reading() as later:
        assert Member.objects.count() == 2
        assert later.sees(meanwhile) and later.covers(snapshot) and not snapshot.covers(later)


def nothing_is_written():
    try:
        with reading():
            Member.objects.create(code="no")
    except InternalError:
        assert not Member.objects.exists()
    else:
        raise AssertionError


def within_a_transaction():
    with transaction.atomic():
        Member.objects.create(code="mine")
        with reading() as snapshot:
            assert snapshot is None and Member.objects.count() == 1
        Member.objects.create(code="too")
    assert Member.objects.count() == 2


def few_statements():
    with CaptureQueriesContext(connection) as queries, reading():
        Member.objects.count()
    assert len(queries) == 4, list(queries)  # two of them Django's BEGIN and COMMIT


def nobody_is_kept_waiting(path):
    """SQLite: a reader takes no lock that a writer would wait for."""
    import sqlite3

    with reading() as snapshot:
        assert snapshot is None and not connection.in_atomic_block
        Member.objects.count()
        other = sqlite3.connect(path, timeout=0)
        with other:
            other.execute("INSERT INTO rowsite_member (code) VALUES ('x')")
        other.close()
    assert Member.objects.count() == 1
