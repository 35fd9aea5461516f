import uuid

from django.conf import settings
from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=200)
    email = models.EmailField()


class Tag(models.Model):
    word = models.CharField(max_length=50, unique=True)


class Book(models.Model):
    title = models.TextField()
    author = models.ForeignKey(Author, models.CASCADE, related_name="books")
    sequel_to = models.ForeignKey("self", models.SET_NULL, null=True, db_column="predecessor")
    price = models.DecimalField(max_digits=8, decimal_places=2, null=True)
    tags = models.ManyToManyField(Tag, related_name="books")


class NovelManager(models.Manager):
    def get_queryset(self):
        return super().get_queryset().filter(title__startswith="Novel")


class Novel(Book):
    """A proxy."""

    objects = NovelManager()

    class Meta:
        proxy = True


class Place(models.Model):
    name = models.CharField(max_length=50)
    tags = models.ManyToManyField(Tag, related_name="places")


class Restaurant(Place):
    stars = models.IntegerField(default=0)


class Country(models.Model):
    code = models.CharField(max_length=2, unique=True)
    name = models.CharField(max_length=50)


class City(models.Model):
    """References by another column than the primary key, under columns of their own names."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=50)
    country = models.ForeignKey(
        Country, models.CASCADE, to_field="code", db_column="country", null=True
    )
    restaurant = models.ForeignKey(Restaurant, models.CASCADE, db_column="restaurant", null=True)
    visited = models.ManyToManyField(
        Country, through="Visit", through_fields=("city", "country"), related_name="visitors"
    )


class Visit(models.Model):
    city = models.ForeignKey(City, models.CASCADE)
    country = models.ForeignKey(Country, models.CASCADE, to_field="code", related_name="+")
    host = models.ForeignKey(Country, models.CASCADE, null=True, related_name="+")


class Room(models.Model):
    name = models.CharField(max_length=50)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="rooms")
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="member_of")


class Note(models.Model):
    text = models.CharField(max_length=200)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    room = models.ForeignKey(Room, models.CASCADE, null=True)


class Mail(models.Model):
    to = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, to_field="username")


class Page(models.Model):
    """Its key is a text that somebody chooses."""

    path = models.CharField(max_length=50, primary_key=True)
    above = models.ForeignKey("self", models.CASCADE, null=True)


class Everything(models.Model):
    id = models.UUIDField(primary_key=True)
    decimal = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    time = models.TimeField(null=True)
    date = models.DateField(null=True)
    moment = models.DateTimeField(null=True)
    duration = models.DurationField(null=True)
    binary = models.BinaryField(null=True)
    uuid = models.UUIDField(null=True)
    json = models.JSONField(null=True)
    big = models.BigIntegerField(null=True)
    number = models.FloatField(null=True)
    yes = models.BooleanField(null=True)
    choice = models.CharField(max_length=1, choices=[("a", "A")], null=True)
    file = models.FileField(null=True)
    address = models.GenericIPAddressField(null=True)


class Words:
    """A value of a type that nobody knows."""

    def __init__(self, text):
        self.words = text.split()

    def __str__(self):
        return "+".join(self.words)


class WordsField(models.TextField):
    def from_db_value(self, value, expression, connection):
        return None if value is None else Words(value)

    def get_prep_value(self, value):
        return None if value is None else " ".join(value.words)


class LoudWordsField(WordsField):
    def value_to_string(self, obj):
        return str(self.value_from_object(obj)).upper()


class Custom(models.Model):
    words = WordsField(null=True)
    loud = LoudWordsField(null=True)


class Strange(models.Model):
    """Its instances are not what is in its rows."""

    text = models.TextField()

    @classmethod
    def from_db(cls, db, field_names, values):
        row = super().from_db(db, field_names, values)
        row.text = row.text.upper()
        return row


class Watched(models.Model):
    text = models.TextField()


if "postgresql" in settings.DATABASES["default"]["ENGINE"]:
    from django.contrib.postgres.fields import ArrayField, IntegerRangeField

    class Arrays(models.Model):
        numbers = ArrayField(models.IntegerField(), null=True)
        span = IntegerRangeField(null=True)
