"""Querysets, and the predicate that each comes to, or the reason why it does not, as JSON."""

import json
import uuid
import warnings
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Count, Exists, F, FilteredRelation, OuterRef, Q, Value
from django.db.models.functions import Length, Lower
from django.db.models.lookups import Exact
from django.utils import timezone

from ddpcore_django.matching import NotMatched, compile_where
from shelves.models import Author, Book, Country, Drifted, Odd, Restaurant, Shelf, Story

books = Book.objects
DAY = date(2020, 2, 29)
MOMENT = datetime(2020, 2, 29, 12, tzinfo=UTC)


async def in_thread(function, *arguments):
    return function(*arguments)


def in_zone(zone, **conditions):
    # The time zone in force when the queryset is compiled counts, hence no context manager.
    timezone.activate(zone)
    return books.filter(**conditions)


EXAMPLES = {
    "all": lambda: books.all(),
    "none": lambda: books.none(),
    "ordered, related, deferred": lambda: (
        books.filter(pages=1).order_by("title").select_related("author").only("title")
    ),
    "ordered by a join": lambda: books.filter(pages=1).order_by("editor__name"),
    "distinct": lambda: books.filter(pages=1).distinct(),
    "proxy": lambda: Story.objects.filter(pages=1),
    "alias": lambda: books.alias(p=F("pages")).filter(p=1),
    "id": lambda: books.filter(pk=3),
    "in": lambda: books.filter(pages__in=[3, 1, None, 1]),
    "in nothing": lambda: books.filter(pages__in=[]),
    "not in nothing": lambda: books.exclude(sold__in=[]),
    "float for an integer": lambda: books.filter(pages__gte=2.5),
    "text for an integer": lambda: books.filter(pages="7"),
    "null": lambda: books.filter(pages=None),
    "exclude": lambda: books.exclude(pages=1),
    "exclude what is never null": lambda: books.exclude(sold=1),
    "or": lambda: books.filter(Q(pages=1) | Q(sold=2) & ~Q(printed=True)),
    "xor": lambda: books.filter(Q(pages=1) ^ Q(sold=2)),
    "reference": lambda: books.filter(author=Author(pk=4)),
    "reference id": lambda: books.filter(author_id__in=[4, 5]),
    "reference's id": lambda: books.filter(author__id=4),
    "reference to a text": lambda: Author.objects.filter(country=Country(pk=9, code="CH")),
    "join": lambda: books.filter(author__active=True),
    "join twice": lambda: books.filter(author__active=True, author__age=3),
    "deep join": lambda: books.filter(author__country__name="X"),
    "nullable join": lambda: books.filter(editor__active=True),
    "exclude over a join": lambda: books.exclude(editor__active=True),
    "exclude over a join, never null": lambda: books.exclude(author__name="x"),
    "null over a join": lambda: books.filter(editor__age__isnull=True),
    "not null over a join": lambda: books.filter(author__age__isnull=False),
    "inner join alone": lambda: books.filter(Q(sequel_to__pages__isnull=False) & ~Q(pages=1)),
    "self": lambda: books.filter(sequel_to__sold=1),
    "or over joins": lambda: books.filter(Q(author__age=1) | Q(editor__age=1) | Q(author__age=2)),
    "contains": lambda: books.filter(title__contains="50%"),
    "uuid": lambda: Shelf.objects.filter(pk=uuid.UUID(int=1)),
    "annotation seen to": lambda: books.annotate(n=Lower("title")).filter(pages=1),
    # What is not.
    "slice": lambda: books.all()[:3],
    "union": lambda: books.filter(pages=1).union(books.filter(pages=2)),
    "extra": lambda: books.extra(where=["1=1"]),
    "extra select": lambda: books.extra(select={"one": "1"}),
    "values": lambda: books.values("title"),
    "annotation": lambda: books.annotate(length=Length("title")),
    "aggregate": lambda: books.annotate(n=Count("tags")),
    "hidden aggregate": lambda: books.alias(n=Count("tags")).filter(n=1),
    "locked": lambda: books.select_for_update(),
    "many to many": lambda: books.filter(tags__word="x"),
    "many to many id": lambda: books.filter(tags=1),
    "not many to many": lambda: books.exclude(tags=1),
    "reverse": lambda: Author.objects.filter(books__pages=1),
    "reverse one to one": lambda: Author.objects.filter(shelf__label="x"),
    "alias over many": lambda: books.alias(t=F("tags__word")),
    "subquery": lambda: books.filter(author__in=Author.objects.filter(age=1)),
    "pk in subquery": lambda: books.filter(pk__in=books.filter(pages=1)),
    "subquery's value": lambda: books.filter(pages=books.values("pages")[:1]),
    "exists": lambda: books.filter(Exists(books.filter(pk=OuterRef("sequel_to")))),
    "column": lambda: books.filter(pages=F("sold")),
    "column in a list": lambda: books.filter(pages__in=[F("sold"), 1]),
    "expression": lambda: books.filter(pages__gt=F("sold") + 1),
    "lookup of an expression": lambda: books.filter(Exact(Lower("title"), "x")),
    "value": lambda: books.filter(Exact(F("title"), Value("x"))),
    "text order": lambda: books.filter(title__gt="x"),
    "text range": lambda: books.filter(title__range=("a", "b")),
    "custom lookup": lambda: books.filter(pages__ne=3),
    "custom transform": lambda: books.filter(title__trimmed="x"),
    "user": lambda: User.objects.filter(is_staff=True),
    "length": lambda: books.alias(length=Length("title")).filter(length=3),
    "number as text": lambda: books.filter(pages__contains=3),
    "too great": lambda: books.filter(pages=2**40),
    "too great in": lambda: books.filter(pages__in=[2**40]),
    "nul": lambda: books.filter(title="a\0b"),
    "surrogate": lambda: books.filter(title__contains="\ud800"),
    "json": lambda: Odd.objects.filter(data__a=1),
    "json null": lambda: Odd.objects.filter(data__isnull=True),
    "binary": lambda: Odd.objects.filter(binary=b"x"),
    "binary null": lambda: Odd.objects.filter(binary__isnull=True),
    "address": lambda: Odd.objects.filter(address="::1"),
    "a field of its own": lambda: Odd.objects.filter(loud="x"),
    "dangling": lambda: Odd.objects.filter(stray__code="x"),
    "dangling, own column": lambda: Odd.objects.filter(stray=1),
    "inherits": lambda: Restaurant.objects.filter(stars=3),
    "to what inherits": lambda: Odd.objects.filter(restaurant__stars=3),
    "to what is inherited": lambda: Odd.objects.filter(place__name="x"),
    "filtered relation": lambda: books.annotate(
        filtered=FilteredRelation("author", condition=Q(author__active=True))
    ).filter(filtered__age=1),
    "year that is none": lambda: books.filter(born__year=0),
    "duration": lambda: books.filter(lasts=timedelta(1)),
    "float": lambda: books.filter(weight__gt=1.5),
    "decimal": lambda: books.filter(price=Decimal("1.50")),
    "date": lambda: books.filter(born__lte=DAY),
    "month": lambda: books.filter(born__month=2),
    "moment": lambda: books.filter(moment__gt=MOMENT),
    "moment's date": lambda: books.filter(moment__date=DAY),
    "moment's year": lambda: books.filter(moment__year=2020),
    "date of a date": lambda: books.filter(moment__date__year=2020),
    "case": lambda: books.filter(title__icontains="abc"),
    "case of a letter": lambda: books.filter(title__icontains="ä"),
    "starts": lambda: books.filter(title__istartswith="a", slug__endswith="b"),
    "regex": lambda: books.filter(title__regex="^ab+[0-9]$"),
    "regex in any case": lambda: books.filter(title__iregex="a"),
    "regex class": lambda: books.filter(title__regex=r"\d"),
    "regex that loops": lambda: books.filter(title__regex="(a+)+"),
    "regex back": lambda: books.filter(title__regex=r"(a)\1"),
    "regex options": lambda: books.filter(title__regex="(?i)a"),
    "hour in Zurich": lambda: in_zone("Europe/Zurich", moment__hour=3),
    "moment in Zurich": lambda: in_zone("Europe/Zurich", moment=MOMENT),
    "hour in UTC": lambda: in_zone("Etc/UTC", moment__hour=3),
}


DRIFT = """
    ALTER TABLE shelves_drifted ALTER padded TYPE char(9);
    CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    ALTER TABLE shelves_drifted ALTER loose TYPE text COLLATE loose;
    ALTER TABLE shelves_drifted ALTER bytewise TYPE text COLLATE "C";
    ALTER TABLE shelves_drifted ALTER short TYPE real;
    ALTER TABLE shelves_drifted ALTER local TYPE timestamp;
    CREATE DOMAIN even AS integer CHECK (VALUE % 2 = 0);
    ALTER TABLE shelves_drifted ALTER domain TYPE even;
    ALTER TABLE shelves_drifted DROP gone;
"""
drifted = Drifted.objects
DRIFTED = {
    "padded": lambda: drifted.filter(padded="x"),
    "loose": lambda: drifted.filter(loose="x"),
    "bytewise": lambda: drifted.filter(bytewise="x"),
    "bytewise in any case": lambda: drifted.filter(bytewise__icontains="x"),
    "collated": lambda: drifted.filter(collated="x"),
    "short": lambda: drifted.filter(short=0.1),
    "local": lambda: drifted.filter(local=MOMENT),
    "domain": lambda: drifted.filter(domain=2),
    "gone": lambda: drifted.filter(gone=2),
    "same": lambda: drifted.filter(same=2),
    "generated": lambda: drifted.filter(generated=2),
}


def main():
    warnings.simplefilter("ignore")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(DRIFT)
    results = {}
    for name, make in (EXAMPLES | DRIFTED).items():
        options = {"annotations": {"n"}} if name == "annotation seen to" else {}
        try:
            results[name] = repr(compile_where(make(), in_thread, **options).predicate)
        except NotMatched as reason:
            results[name] = f"not: {reason}"
    print(json.dumps(results))
