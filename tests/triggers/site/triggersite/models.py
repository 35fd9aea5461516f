from django.conf import settings
from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=200)


class Tag(models.Model):
    word = models.CharField(max_length=50)


class Book(models.Model):
    title = models.TextField(unique=True)
    author = models.ForeignKey(Author, models.CASCADE, related_name="books")
    sequel_to = models.ForeignKey("self", models.SET_NULL, null=True)
    tags = models.ManyToManyField(Tag, related_name="books")


class Place(models.Model):
    name = models.CharField(max_length=50)


class Restaurant(Place):
    stars = models.IntegerField(default=0)


class Note(models.Model):
    text = models.CharField(max_length=200)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True)


class Moment(models.Model):
    at = models.DateTimeField(primary_key=True)


class Unpublished(models.Model):
    text = models.CharField(max_length=200)


class Shown(models.Model):
    """A view, in those projects that have made it."""

    title = models.TextField()

    class Meta:
        managed = False
        db_table = "shown"
