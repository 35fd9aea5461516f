"""A model for every kind of field."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Upper

from ddpcore_django import AleaIdField


class Tag(models.Model):
    word = models.CharField(max_length=50)


class Genre(models.TextChoices):
    NOVEL = "novel", "Novel"
    POEM = "poem", "Poem"


class Stars(models.IntegerChoices):
    ONE = 1
    TWO = 2


class Everything(models.Model):
    """Each kind of field, none of which is null."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    big = models.BigIntegerField()
    binary = models.BinaryField()
    char = models.CharField(max_length=50)
    date = models.DateField()
    decimal = models.DecimalField(max_digits=20, decimal_places=10)
    duration = models.DurationField()
    email = models.EmailField()
    file = models.FileField()
    image = models.FilePathField(path="/")
    address = models.GenericIPAddressField()
    integer = models.IntegerField()
    json = models.JSONField()
    moment = models.DateTimeField()
    number = models.FloatField()
    positive = models.PositiveIntegerField()
    positive_big = models.PositiveBigIntegerField()
    positive_small = models.PositiveSmallIntegerField()
    slug = models.SlugField()
    small = models.SmallIntegerField()
    text = models.TextField()
    time = models.TimeField()
    url = models.URLField()
    uuid = models.UUIDField()
    yes = models.BooleanField()
    loud = models.GeneratedField(
        expression=Upper("text"), output_field=models.TextField(), db_persist=True
    )
    genre = models.CharField(max_length=5, choices=Genre)
    genre_or_not = models.CharField(max_length=5, choices=Genre, blank=True)
    genre_or_old = models.CharField(max_length=5, choices=Genre, default="old")
    genre_of_all = models.CharField(max_length=5, choices=lambda: [("a", "A")])
    grouped = models.CharField(max_length=5, choices=[("Print", [("book", "Book")]), ("e", "E")])
    stars = models.IntegerField(choices=Stars)
    tag = models.ForeignKey(Tag, models.CASCADE, related_name="+")
    only_tag = models.OneToOneField(Tag, models.CASCADE, related_name="+", db_column="the_tag")
    tags = models.ManyToManyField(Tag)


class Nothing(models.Model):
    """Each kind of field, all of which may be null."""

    id = AleaIdField()
    big = models.BigIntegerField(null=True)
    binary = models.BinaryField(null=True)
    char = models.CharField(max_length=50, null=True)
    date = models.DateField(null=True)
    decimal = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    duration = models.DurationField(null=True)
    file = models.FileField(null=True)
    address = models.GenericIPAddressField(null=True)
    json = models.JSONField(null=True)
    moment = models.DateTimeField(null=True)
    number = models.FloatField(null=True)
    text = models.TextField(null=True)
    time = models.TimeField(null=True)
    uuid = models.UUIDField(null=True)
    yes = models.BooleanField(null=True)
    genre = models.CharField(max_length=5, choices=Genre, null=True)
    stars = models.IntegerField(choices=Stars, null=True)
    tag = models.ForeignKey(Tag, models.CASCADE, null=True, related_name="+")


class WordsField(models.TextField):
    """A field of somebody's own, which says nothing of what clients get."""

    def from_db_value(self, value, expression, connection):
        return None if value is None else value.split()


class TypedWordsField(WordsField):
    ddpcore_type = list[str]


class LabelField(models.CharField):
    """A field of somebody's own, whose values are Django's."""


class Custom(models.Model):
    words = WordsField()
    typed = TypedWordsField(null=True)
    label = LabelField(max_length=9)
    settings = models.JSONField(default=dict)


class Author(models.Model):
    name = models.CharField(max_length=50)


class Book(models.Model):
    title = models.CharField(max_length=50)
    price = models.DecimalField(max_digits=8, decimal_places=2, null=True)
    genre = models.CharField(max_length=5, choices=Genre, default=Genre.NOVEL)
    sold = models.IntegerField(default=0)
    author = models.ForeignKey(Author, models.CASCADE, related_name="books")
    editor = models.ForeignKey(Author, models.SET_NULL, null=True, related_name="+")
    tags = models.ManyToManyField(Tag)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True)


if "postgresql" in settings.DATABASES["default"]["ENGINE"]:
    from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, IntegerRangeField

    class Arrays(models.Model):
        numbers = ArrayField(models.IntegerField())
        moments = ArrayField(models.DateTimeField(null=True), null=True)
        genres = ArrayField(models.CharField(max_length=5, choices=Genre))
        matrix = ArrayField(ArrayField(models.TextField()))
        span = IntegerRangeField(null=True)
        during = DateTimeRangeField()
