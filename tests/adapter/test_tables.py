"""Which tables a query reads, asked of Django in a process of its own."""

from __future__ import annotations

import pytest

QUERIES = {
    "Book.objects.all()": "book",
    "Book.objects.filter(title='x').exclude(author_id=3)": "book",
    "Book.objects.filter(author__id=3)": "book",
    "Book.objects.filter(author__email='x')": "author book",
    "Book.objects.select_related('author')": "author book",
    "Book.objects.order_by('author__name')": "author book",
    "Book.objects.filter(tags__word='x')": "book book_tags tag",
    "Book.objects.filter(author__in=Author.objects.filter(books__title='x'))": "author book book",
    "Book.objects.exclude(tags__word='x')": "book book_tags tag",
    "Restaurant.objects.all()": "place restaurant",
    "Place.objects.filter(restaurant__stars=1)": "place restaurant",
    "Author.objects.annotate(n=Count('books'))": "author book",
    "Author.objects.filter(Exists(Book.objects.filter(author=OuterRef('pk'))))": "author book",
    "Author.objects.annotate(t=Subquery(Book.objects.filter(author=OuterRef('pk'))"
    ".order_by('tags__word').values('title')[:1]))": "author book book_tags tag",
    "Book.objects.filter(Q(author__name='x') | Q(pk__in=Note.objects.values('pk')))": "author book note",
    "Book.objects.filter(title='a').union(Book.objects.filter(author__name='b'))": "author book book book",
    "Book.objects.filter(sequel_to__title='x')": "book book",
}  # fmt: skip


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    import json
    import os
    import subprocess
    import sys
    from pathlib import Path

    site = Path(__file__).parent / "site"
    code = (
        "import json, sys, django; django.setup()\n"
        "from django.db.models import *\n"
        "from testsite.models import *\n"
        "from ddpcore_django.tables import tables_read\n"
        "print(json.dumps([tables_read(eval(q).query, 'default') for q in json.load(sys.stdin)]))"
    )
    paths = os.pathsep.join([str(site), str(Path(__file__).parent.parent / "support")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(list(QUERIES)),
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "testsite.settings", "PYTHONPATH": paths},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(zip(QUERIES, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("query", QUERIES)
def test_tables_read(answers, query):
    found = sorted(table.removeprefix("testsite_") for table in answers[query])
    if "Subquery" in query or "union" in query:  # how often hardly matters there
        assert set(found) == set(QUERIES[query].split())
    else:
        assert found == QUERIES[query].split()
