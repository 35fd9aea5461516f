import json
import uuid
from decimal import Decimal

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models


class Person(AbstractUser):
    boss = models.ForeignKey("self", models.SET_NULL, null=True)
    secret = models.CharField(max_length=20, default="")


class Shout(str):
    __slots__ = ()


class ShoutField(models.CharField):
    def from_db_value(self, value, expression, connection):
        assert connection.alias == "default" and expression.target.column == self.column
        return None if value is None else Shout(value.upper())


class MoneyField(models.Field):
    """Of no Django class, but of a column that Django makes."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.max_digits, self.decimal_places = 30, 4

    def get_internal_type(self):
        return "DecimalField"

    def from_db_value(self, value, expression, connection):
        return ("EUR", value)  # NULL too

    def get_prep_value(self, value):
        return None if value is None else value[1]


class CaselessField(models.TextField):
    def db_type(self, connection):
        return 'text COLLATE "C"' if connection.vendor == "postgresql" else "text"


class BrokenField(models.TextField):
    def from_db_value(self, value, expression, connection):
        raise KeyError(value)


class ExactDecoder(json.JSONDecoder):
    def __init__(self, **options):
        super().__init__(parse_float=Decimal, **options)


class Target(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    code = models.SlugField(unique=True)


class Kinds(models.Model):
    small = models.SmallIntegerField(null=True)
    integer = models.IntegerField(null=True, db_column="odd name, 'in' quotes")
    big = models.BigIntegerField(null=True, db_column="Select")
    positive_small = models.PositiveSmallIntegerField(null=True)
    positive = models.PositiveIntegerField(null=True)
    positive_big = models.PositiveBigIntegerField(null=True)
    boolean = models.BooleanField(null=True)
    char = models.CharField(null=True, max_length=40, db_column="zeichenkette äöü")
    text = models.TextField(null=True)
    slug = models.SlugField(null=True)
    email = models.EmailField(null=True)
    url = models.URLField(null=True)
    path = models.FilePathField(null=True)
    file = models.FileField(null=True)
    uuid = models.UUIDField(null=True)
    decimal = models.DecimalField(null=True, max_digits=30, decimal_places=10)
    float = models.FloatField(null=True)
    date = models.DateField(null=True)
    moment = models.DateTimeField(null=True)
    time = models.TimeField(null=True)
    duration = models.DurationField(null=True)
    json = models.JSONField(null=True)
    exact = models.JSONField(null=True, decoder=ExactDecoder)
    binary = models.BinaryField(null=True)
    address = models.GenericIPAddressField(null=True)
    shout = ShoutField(null=True, max_length=40)
    money = MoneyField(null=True)
    target = models.ForeignKey(Target, models.CASCADE, null=True)
    by_code = models.ForeignKey(
        Target, models.CASCADE, null=True, to_field="code", related_name="+", db_column="c.o.d.e"
    )
    one = models.OneToOneField("self", models.CASCADE, null=True)
    double = models.GeneratedField(
        expression=models.F("small") + models.F("small"),
        output_field=models.IntegerField(),
        db_persist=True,
    )
    # These do not travel.
    caseless = CaselessField(null=True)


class Broken(models.Model):
    text = BrokenField(null=True)


class Place(models.Model):
    name = models.CharField(max_length=50)


class Restaurant(Place):
    stars = models.IntegerField(default=0)
    tags = models.ManyToManyField(Target)


class Bistro(Restaurant):
    class Meta:
        proxy = True


class Visible(models.Manager):
    def get_queryset(self):
        return super().get_queryset().exclude(word="hidden")


class Label(models.Model):
    word = models.CharField(max_length=20)
    objects = Visible()
    everything = models.Manager()


class Member(models.Model):
    code = models.SlugField(unique=True)
    friends = models.ManyToManyField("self")
    follows = models.ManyToManyField("self", symmetrical=False, related_name="followers")
    labels = models.ManyToManyField(Label)


class Club(models.Model):
    members = models.ManyToManyField(Member, through="Membership", related_name="clubs")


class Membership(models.Model):
    club = models.ForeignKey(Club, models.CASCADE)
    member = models.ForeignKey(Member, models.CASCADE, to_field="code", db_column="who")
    role = models.CharField(max_length=20, default="guest")


class Visit(models.Model):
    club = models.ForeignKey(Club, models.CASCADE)


class Moment(models.Model):
    at = models.DateTimeField(primary_key=True)


class Loud(models.Model):
    name = ShoutField(primary_key=True, max_length=20)


class Pair(models.Model):
    pk = models.CompositePrimaryKey("one", "two")
    one = models.IntegerField()
    two = models.IntegerField()


class Narrow(models.Model):
    shown = models.CharField(max_length=20)
    owner = models.ForeignKey(Person, models.CASCADE, null=True)
    hidden = models.CharField(max_length=20)


if "postgresql" in settings.DATABASES["default"]["ENGINE"]:
    from django.contrib.postgres import fields

    class Far(models.Model):
        numbers = fields.ArrayField(models.IntegerField(), null=True)
        span = fields.IntegerRangeField(null=True)
        search = models.TextField(null=True)
