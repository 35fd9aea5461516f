from django.conf import settings
from django.contrib.postgres.fields import ArrayField, IntegerRangeField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models

from ddpcore_django import AleaIdField


class Task(models.Model):
    """Clients make its ids."""

    id = AleaIdField()
    text = models.CharField(max_length=20)
    done = models.BooleanField(default=False)
    points = models.IntegerField(default=0, validators=[MaxValueValidator(100)])
    weight = models.FloatField(null=True, blank=True)
    note = models.TextField(blank=True)
    due = models.DateTimeField(null=True, blank=True)
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="children"
    )
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    secret = models.CharField(max_length=20, default="a secret")
    changes = models.IntegerField(default=0)

    def clean(self):
        if self.text == "unclean":
            raise ValidationError("Tasks are clean.")
        if self.text == "unclean secret":
            raise ValidationError({"secret": "It is out."})

    def save(self, *args, **kwargs):
        self.changes += 1
        super().save(*args, **kwargs)


class Card(models.Model):
    """The database makes its ids."""

    title = models.CharField(max_length=20, unique=True)
    position = models.IntegerField(default=0)
    color = models.CharField(max_length=10, default="red")
    archived = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["position", "color"],
                condition=~models.Q(position=0),
                name="one_card_each",
            ),
        ]


class Shelf(models.Model):
    """Nobody writes to it, but as Django's admin might."""

    label = models.CharField(max_length=20)


class Plain(models.Model):
    text = models.CharField(max_length=20)


class Everything(models.Model):
    decimal = models.DecimalField(max_digits=20, decimal_places=10, null=True, blank=True)
    time = models.TimeField(null=True, blank=True)
    date = models.DateField(null=True, blank=True)
    moment = models.DateTimeField(null=True, blank=True)
    duration = models.DurationField(null=True, blank=True)
    binary = models.BinaryField(null=True, blank=True)
    uuid = models.UUIDField(null=True, blank=True)
    json = models.JSONField(null=True, blank=True)
    big = models.BigIntegerField(null=True, blank=True)
    number = models.FloatField(null=True, blank=True)
    yes = models.BooleanField(null=True, blank=True)
    choice = models.CharField(max_length=1, choices=[("a", "A")], null=True, blank=True)
    email = models.EmailField(null=True, blank=True)
    slug = models.SlugField(null=True, blank=True)
    text = models.TextField(null=True, blank=True)
    address = models.GenericIPAddressField(null=True, blank=True)
    shelf = models.ForeignKey(Shelf, models.CASCADE, null=True, blank=True)
    task = models.ForeignKey(Task, models.CASCADE, null=True, blank=True)
    span = IntegerRangeField(null=True, blank=True)
    file = models.FileField(null=True, blank=True)
    numbers = ArrayField(models.IntegerField(), null=True, blank=True)
