from django.conf import settings
from django.contrib.auth.models import Group, User  # noqa: F401 - what the tests' shells write to
from django.db import models


class Shelf(models.Model):
    name = models.CharField(max_length=50)


class Item(models.Model):
    """What everybody may see."""

    text = models.TextField(default="")
    number = models.IntegerField(default=0)
    price = models.DecimalField(max_digits=12, decimal_places=2, null=True)
    shelf = models.ForeignKey(Shelf, models.CASCADE, null=True)


class Room(models.Model):
    name = models.CharField(max_length=50)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, through="Membership")


class Membership(models.Model):
    """Published, too; somebody may be a member twice."""

    room = models.ForeignKey(Room, models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    role = models.CharField(max_length=20, default="")


class Note(models.Model):
    text = models.TextField(default="")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    room = models.ForeignKey(Room, models.CASCADE, null=True)
    rank = models.IntegerField(default=0)


class Secret(models.Model):
    text = models.TextField(default="")
    group = models.ForeignKey(Group, models.CASCADE)


class Person(models.Model):
    name = models.CharField(max_length=50)
    friends = models.ManyToManyField("self")


class Country(models.Model):
    code = models.CharField(max_length=2, unique=True)
    name = models.CharField(max_length=50)


class City(models.Model):
    name = models.CharField(max_length=50)
    country = models.ForeignKey(Country, models.CASCADE, to_field="code", null=True)


class Mark(models.Model):
    """Written by a method that is called for its `updated`."""


class Unpublished(models.Model):
    text = models.TextField(default="")
