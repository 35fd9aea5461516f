from django.conf import settings
from django.db import models

# Signals do not see what Django does for SET_NULL, which is an update.
OR_NULL = models.SET_NULL if settings.TRIGGERS else models.CASCADE


class Row(models.Model):
    """Whoever writes a row gives it the next version, and the mark of the step that writes."""

    version = models.BigIntegerField(default=0)
    mark = models.CharField(max_length=20, default="")

    class Meta:
        abstract = True


class Publisher(Row):
    name = models.CharField(max_length=50, default="")
    country = models.CharField(max_length=2, null=True)
    active = models.BooleanField(default=True)


class Author(Row):
    name = models.CharField(max_length=50, default="")
    email = models.CharField(max_length=50, default="")
    publisher = models.ForeignKey(Publisher, OR_NULL, null=True, related_name="authors")


class Tag(Row):
    word = models.CharField(max_length=50, default="")


class Book(Row):
    title = models.TextField(default="")
    price = models.DecimalField(max_digits=8, decimal_places=2, null=True)
    pages = models.IntegerField(null=True)
    published = models.BooleanField(null=True)
    created = models.DateField(null=True)
    author = models.ForeignKey(Author, models.CASCADE, null=True, related_name="books")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True)
    sequel_to = models.ForeignKey("self", OR_NULL, null=True, related_name="sequels")
    tags = models.ManyToManyField(Tag, related_name="books")


class Note(Row):
    text = models.CharField(max_length=50, default="")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)


class Room(Row):
    name = models.CharField(max_length=50, default="")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="owned_rooms"
    )
    members = models.ManyToManyField(
        settings.AUTH_USER_MODEL, through="Membership", related_name="rooms"
    )


class Membership(Row):
    room = models.ForeignKey(Room, models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)


class Message(Row):
    text = models.CharField(max_length=50, default="")
    room = models.ForeignKey(Room, models.CASCADE, related_name="messages")


class Marker(models.Model):
    """Of no consequence: written to learn when all that was written before has arrived."""

    number = models.IntegerField(default=0)
