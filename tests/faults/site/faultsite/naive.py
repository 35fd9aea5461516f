"""What a client ought to have, asked for without any of the code under test but field names."""

import json
from decimal import Decimal

from django.contrib.auth.models import User
from django.db.models import Model

from faultsite import models


def document(row: Model, **more):
    fields = {
        field.column: getattr(row, field.attname)
        for field in row._meta.concrete_fields
        if not field.primary_key
    }
    for name, value in fields.items():
        if value is not None and (name.endswith("_id") or name == "price"):
            fields[name] = str(value)
    return fields | more


def items(wanted):
    return {"faultsite.item": {str(row.pk): document(row) for row in wanted}}


def shown(user, name, *params):
    """Collections of what one query shows to a user."""
    every = ()
    if name in ("items", "number", "range", "priced", "on", "not on", "newest", "marked", "counts"):
        every = list(models.Item.objects.select_related("shelf"))
    if name == "items":
        return items(every)
    if name == "number":
        return items(row for row in every if row.number == params[0])
    if name == "range":
        return items(row for row in every if params[0] <= row.number <= params[1])
    if name == "priced":
        return items(row for row in every if row.price == Decimal(params[0]))
    if name == "on":
        return items(row for row in every if row.shelf and row.shelf.name == params[0])
    if name == "not on":
        return items(row for row in every if not (row.shelf and row.shelf.name == params[0]))
    if name == "newest":
        return items(sorted(every, key=lambda row: (-row.number, -row.pk))[:3])
    if name == "marked":
        made = {str(row.pk): document(row, twice=row.number * 2) for row in every}
        return {"faultsite.item": made}
    if name in ("shelves", "counts", "waiting"):
        made = {}
        for shelf in models.Shelf.objects.all():
            more = {}
            if name == "counts":
                more["count"] = sum(row.shelf_id == shelf.pk for row in every)
            if name == "waiting":
                more["waited"] = 1
            made[str(shelf.pk)] = document(shelf, **more)
        return {"faultsite.shelf": made}
    if name == "rooms":
        return {"faultsite.room": {str(r.pk): document(r, members_ids=sorted(
            (str(m.user_id) for m in models.Membership.objects.filter(room_id=r.pk)),
            key=lambda text: (len(text), text),
        )) for r in models.Room.objects.all() if sees_room(user, r)}}  # fmt: skip
    if name == "memberships":
        found = models.Membership.objects.all()
        return {"faultsite.membership": {str(row.pk): document(row) for row in found}}
    if name in ("notes", "texts"):
        found = models.Note.objects.select_related("room")
        return {"faultsite.note": {str(n.pk): document(n) for n in found if sees_note(user, n)
            and (not params or n.text == params[0])}}  # fmt: skip
    if name in ("secrets", "of_group"):
        groups = set(user.groups.values_list("pk", flat=True)) if user else set()
        found = models.Secret.objects.filter(group_id__in=groups)
        collection = "of_group" if name == "of_group" else "faultsite.secret"
        return {collection: {str(row.pk): document(row) for row in found}}
    if name == "people":
        links = list(models.Person.friends.through.objects.all())
        return {"faultsite.person": {str(p.pk): document(p, friends_ids=sorted(
            (str(each.to_person_id) for each in links if each.from_person_id == p.pk),
            key=lambda text: (len(text), text),
        )) for p in models.Person.objects.all()}}  # fmt: skip
    if name == "cities":
        found = models.City.objects.filter(country__isnull=False).select_related("country")
        made = {}
        for row in found:
            if row.country.name == params[0]:
                made[str(row.pk)] = document(row) | {"country_id": str(row.country.pk)}
        return {"faultsite.city": made}
    if name == "countries":
        found = models.Country.objects.all()
        return {"faultsite.country": {str(row.pk): document(row) for row in found}}
    raise LookupError(name)


def sees_room(user, room):
    if user is None:
        return False
    members = models.Membership.objects.filter(room_id=room.pk, user_id=user.pk)
    return user.is_superuser or room.owner_id == user.pk or members.exists()


def sees_note(user, note):
    if user is None or note.rank < 0:
        return False
    members = models.Membership.objects.filter(room_id=note.room_id, user_id=user.pk)
    return user.is_superuser or note.owner_id == user.pk or members.exists()


def answer(username, wanted):
    """Print the collections of a subscription, on a line."""
    user = User.objects.get(username=username) if username else None
    collections = {}
    for name, *params in wanted:
        for collection, documents in shown(user, name, *params).items():
            merged = collections.setdefault(collection, {})
            for key, fields in documents.items():
                merged.setdefault(key, {}).update(fields)
    print(json.dumps({name: docs for name, docs in collections.items() if docs}), flush=True)
