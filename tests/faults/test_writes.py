"""Whatever writes, in whatever way: who watches has what the database has when `updated` comes."""

from __future__ import annotations

import pytest
from faultworld import USERS, WORLD, watching

pytestmark = pytest.mark.pg

WANTED = (
    ["items"],
    ["range", 3, 6],
    ["on", "a"],
    ["not on", "a"],
    ["counts"],
    ["newest"],
    ["rooms"],
    ["notes"],
    ["texts", "moved"],
    ["secrets"],
    ["of_group"],
    ["people"],
    ["memberships"],
    ["cities", "Austria"],
    ["countries"],
)

ANYTHING = {
    "many rows": "Item.objects.bulk_create([Item(text=f'bulk {n}', number=n) for n in range(300)])",
    "COPY": """
import io
with connection.cursor() as cursor:
    cursor.copy_expert("COPY faultsite_item (text, number, shelf_id) FROM STDIN",
        io.StringIO("copied\\t4\\t1\\ncopied\\t5\\t\\\\N\\n"))
""",
    "MERGE": """
with connection.cursor() as cursor:
    cursor.execute(\"\"\"MERGE INTO faultsite_item AS t
        USING (VALUES (1, 'merged'), (2, 'gone'), (100000, 'made')) AS s (id, text) ON t.id = s.id
        WHEN MATCHED AND s.text = 'gone' THEN DELETE
        WHEN MATCHED THEN UPDATE SET text = s.text, number = 5
        WHEN NOT MATCHED THEN INSERT (text, number, shelf_id) VALUES (s.text, 6, 1)\"\"\")
""",
    "ON CONFLICT": """
with connection.cursor() as cursor:
    cursor.execute(\"\"\"INSERT INTO faultsite_item (id, text, number) VALUES (3, 'x', 3), (77777, 'y', 4)
        ON CONFLICT (id) DO UPDATE SET text = 'upserted', number = 4\"\"\")
""",
    "a savepoint is rolled back": """
with transaction.atomic():
    Item.objects.filter(number=4).update(text="kept")
    try:
        with transaction.atomic():
            Item.objects.update(number=0)
            Membership.objects.all().delete()
            raise ValueError
    except ValueError:
        pass
    with transaction.atomic():
        Item.objects.create(text="inner", number=4, shelf=a)
""",
    "a row moves with its room": """
with transaction.atomic():
    moved = Note.objects.create(text="moved", owner=ann, room=hall, rank=1)
with transaction.atomic():
    Note.objects.filter(pk=moved.pk).update(owner=bob, room=attic)
    Room.objects.filter(pk=attic.pk).update(owner=eve)
    Room.objects.filter(pk=hall.pk).update(owner=bob)
    Membership.objects.filter(room=attic).update(user=bob)
""",
    "a member's link is moved about": """
with transaction.atomic():
    Membership.objects.update(room=hall, user=eve)
    Membership.objects.create(room=hall, user=eve, role="twice")
    Membership.objects.filter(role="twice").update(user=ann)
    Membership.objects.filter(role="twice").update(room=attic)
""",
    "granted and taken within a transaction": """
with transaction.atomic():
    link = Membership.objects.create(room=attic, user=bob)
    link.delete()
    again = Membership.objects.create(room=hall, user=ann)
""",
    "keys are changed": """
with connection.cursor() as cursor:
    cursor.execute("UPDATE faultsite_item SET id = id + 1000000 WHERE number < 3")
    cursor.execute("UPDATE faultsite_membership SET id = id + 1000")
""",
    "keys are swapped": """
with transaction.atomic(), connection.cursor() as cursor:
    cursor.execute("UPDATE faultsite_item SET id = -1 WHERE id = 1000001")
    cursor.execute("UPDATE faultsite_item SET id = 1000001 WHERE id = 1")
    cursor.execute("UPDATE faultsite_item SET id = 1 WHERE id = -1")
""",
    "groups": "ann.groups.set([crew]); bob.groups.set([staff, crew]); staff.delete()",
    "friends": """
people[1].friends.add(people[0], people[2])
people[2].friends.set([people[0]])
people[0].friends.clear()
people[0].friends.add(people[0])
""",
    "to_field": """
austria, chile = [Country.objects.create(code=c, name=n) for c, n in (("AT", "Austria"), ("CL", "Chile"))]
graz, arica = City.objects.create(name="Graz", country=austria), City.objects.create(name="Arica", country=chile)
City.objects.create(name="Nowhere")
""",
    "to_field moves": """
City.objects.filter(pk=arica.pk).update(country=austria)
Country.objects.filter(pk=austria.pk).update(name="Österreich")
Country.objects.filter(pk=chile.pk).update(name="Austria")
""",
    "to_field's key is changed": """
City.objects.update(country=None)
Country.objects.filter(pk=chile.pk).update(code="XX")
City.objects.filter(pk=graz.pk).update(country_id="XX")
""",
    "what nobody publishes": """
Unpublished.objects.create(text="x")
Unpublished.objects.update(text="y")
""",
    "ADD COLUMN": """
with connection.cursor() as cursor:
    cursor.execute("ALTER TABLE faultsite_item ADD COLUMN more integer DEFAULT 7")
    cursor.execute("UPDATE faultsite_item SET more = 8, text = 'altered' WHERE number = 4")
""",
    "TRUNCATE CASCADE": """
with connection.cursor() as cursor:
    cursor.execute("TRUNCATE faultsite_room CASCADE")
    cursor.execute("TRUNCATE faultsite_shelf, faultsite_person CASCADE")
""",
    "from the beginning": """
a, b = [Shelf.objects.create(name=name) for name in "ab"]
Item.objects.create(number=4, shelf=a)
cellar = Room.objects.create(name="cellar", owner=ann)
Note.objects.create(text="moved", owner=bob, room=cellar)
Membership.objects.create(room=cellar, user=eve)
""",
    "a user goes": "eve.delete(); ann.delete()",
}


async def test_whatever_triggers_tell(server, writer, agree):
    writer(WORLD)
    async with watching(server, *USERS, wanted=WANTED) as clients:
        for code in ANYTHING.values():
            writer(code)
            for client, user in zip(clients, USERS, strict=True):
                if user not in ("ann", "eve") or code != ANYTHING["a user goes"]:
                    await agree(client, user, *WANTED)


BY_ONE = {
    "rows": """
for each in items:
    each.number += 3
    each.save()
items[0].delete()
""",
    "a row moves with its room": """
with transaction.atomic():
    moved = Note.objects.create(text="moved", owner=ann, room=hall, rank=1)
with transaction.atomic():
    moved.owner, moved.room = bob, attic
    moved.save()
    attic.owner, hall.owner = eve, bob
    attic.save(), hall.save()
    for link in Membership.objects.filter(room=attic):
        link.user = bob
        link.save()
""",
    "links": """
for each in Membership.objects.all():
    each.delete()
hall.members.add(eve, ann)
hall.members.remove(ann)
attic.members.set([ann, eve], through_defaults={"role": "set"})
ann.groups.set([crew]); bob.groups.set([staff, crew])
crew.user_set.clear()
people[1].friends.add(people[0], people[2])
people[2].friends.set([people[0]])
people[0].friends.clear()
""",
    "savepoints": """
with transaction.atomic():
    items[3].text = "kept"
    items[3].save()
    try:
        with transaction.atomic():
            items[3].text = "lost"
            items[3].save()
            Room.objects.get(pk=hall.pk).delete()
            raise ValueError
    except ValueError:
        pass
""",
    "expressions": """
items[4].number = models.F("number") * 2
items[4].save()
stale = Item.objects.defer("text").get(pk=items[5].pk)
stale.number = 4
stale.save()
items[5].text = "stale"
items[5].save(update_fields=["text"])
""",
    "to_field": """
austria, chile = [Country.objects.create(code=c, name=n) for c, n in (("AT", "Austria"), ("CL", "Chile"))]
graz, arica = City.objects.create(name="Graz", country=austria), City.objects.create(name="Arica", country=chile)
arica.country = austria
arica.save()
chile.name = "Austria"
chile.save()
austria.name = "Österreich"
austria.save()
""",
    "cascades": "hall.delete(); a.delete(); people[0].delete(); crew.delete(); austria.delete()",
}


@pytest.mark.parametrize("capture", ["signals"])
async def test_whatever_signals_tell(server, writer, agree, capture):
    writer(WORLD)
    async with watching(server, *USERS, wanted=WANTED) as clients:
        for code in BY_ONE.values():
            writer(code)
            for client, user in zip(clients, USERS, strict=True):
                await agree(client, user, *WANTED)


async def test_ten_thousand_rows_at_once(server, writer, agree):
    writer(WORLD)
    wanted = (["range", 3, 4], ["on", "a"], ["newest"])
    async with watching(server, "ann", wanted=wanted) as (client,):
        for code in (
            """
with transaction.atomic():
    Item.objects.bulk_create([Item(number=n % 12, shelf=a) for n in range(10_000)])
    Item.objects.update(number=models.F("number") + 1)
    Item.objects.filter(number__gt=3).update(shelf=b)
""",
            "Item.objects.update(number=4)",
            "Item.objects.filter(text='').delete()",
        ):
            writer(code)
            await agree(client, "ann", *wanted)
