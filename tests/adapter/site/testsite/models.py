from django.conf import settings
from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=200)
    email = models.EmailField()


class Tag(models.Model):
    word = models.CharField(max_length=50)


class Book(models.Model):
    title = models.TextField()
    author = models.ForeignKey(Author, models.CASCADE, related_name="books")
    sequel_to = models.ForeignKey("self", models.SET_NULL, null=True, db_column="predecessor")
    tags = models.ManyToManyField(Tag, related_name="books")


class Note(models.Model):
    text = models.CharField(max_length=200)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)


class Place(models.Model):
    name = models.CharField(max_length=50)


class Restaurant(Place):
    stars = models.IntegerField(default=0)


class Unpublished(models.Model):
    text = models.CharField(max_length=200)


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


if "postgresql" in settings.DATABASES["default"]["ENGINE"]:
    from django.contrib.postgres.fields import ArrayField, IntegerRangeField

    class Arrays(models.Model):
        numbers = ArrayField(models.IntegerField(), null=True)
        prices = ArrayField(models.DecimalField(max_digits=8, decimal_places=2), null=True)
        span = IntegerRangeField(null=True)
