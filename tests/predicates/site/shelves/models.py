from django.conf import settings
from django.db import models

POSTGRESQL = "postgresql" in settings.DATABASES["default"]["ENGINE"]


class Country(models.Model):
    code = models.CharField(max_length=9, unique=True)
    name = models.TextField(null=True)


class Author(models.Model):
    name = models.TextField()
    age = models.IntegerField(null=True)
    active = models.BooleanField(null=True)
    country = models.ForeignKey(Country, models.CASCADE, to_field="code", null=True)
    mentor = models.ForeignKey("self", models.CASCADE, null=True)


class Tag(models.Model):
    word = models.CharField(max_length=50)


class Shelf(models.Model):
    id = models.UUIDField(primary_key=True)
    label = models.CharField(max_length=50, null=True)
    keeper = models.OneToOneField(Author, models.CASCADE)


class Book(models.Model):
    title = models.TextField(null=True)
    slug = models.SlugField(default="")
    pages = models.IntegerField(null=True)
    sold = models.PositiveIntegerField(default=0)
    weight = models.FloatField(null=True)
    price = models.DecimalField(max_digits=30, decimal_places=10, null=True)
    printed = models.BooleanField(null=True)
    isbn = models.UUIDField(null=True)
    born = models.DateField(null=True)
    moment = models.DateTimeField(null=True)
    opens = models.TimeField(null=True)
    lasts = models.DurationField(null=True)
    author = models.ForeignKey(Author, models.CASCADE, related_name="books")
    editor = models.ForeignKey(Author, models.CASCADE, null=True, related_name="edited")
    shelf = models.ForeignKey(Shelf, models.SET_NULL, null=True)
    sequel_to = models.ForeignKey("self", models.SET_NULL, null=True, db_column="predecessor")
    tags = models.ManyToManyField(Tag)

    class Meta:
        ordering = ["title", "author__name"]


class Story(Book):
    class Meta:
        proxy = True


class Place(models.Model):
    name = models.CharField(max_length=50)


class Restaurant(Place):
    stars = models.IntegerField(default=0)


class Loud(models.CharField):
    """A field that reads something else than there is."""

    def from_db_value(self, value, expression, connection):
        return value and value.upper()


class Drifted(models.Model):
    """On PostgreSQL its columns are not what they are said to be here: see examples.py."""

    padded = models.CharField(max_length=9)
    loose = models.TextField()
    bytewise = models.TextField()
    short = models.FloatField()
    local = models.DateTimeField()
    domain = models.IntegerField()
    gone = models.IntegerField()
    same = models.IntegerField()
    collated = models.CharField(max_length=9, db_collation="C" if POSTGRESQL else "nocase")
    generated = models.GeneratedField(
        expression=models.F("same"), output_field=models.IntegerField(), db_persist=True
    )


@models.Field.register_lookup
class NotEqual(models.Lookup):
    lookup_name = "ne"

    def as_sql(self, compiler, connection):
        left, left_params = self.process_lhs(compiler, connection)
        right, right_params = self.process_rhs(compiler, connection)
        return f"{left} <> {right}", [*left_params, *right_params]


@models.TextField.register_lookup
class Trimmed(models.Transform):
    lookup_name = "trimmed"
    function = "TRIM"
    bilateral = True


class Odd(models.Model):
    data = models.JSONField(null=True)
    binary = models.BinaryField(null=True)
    address = models.GenericIPAddressField(null=True)
    loud = Loud(max_length=9)
    stray = models.ForeignKey(Country, models.DO_NOTHING, null=True, db_constraint=False)
    place = models.ForeignKey(Place, models.CASCADE, null=True)
    restaurant = models.ForeignKey(Restaurant, models.CASCADE, null=True, related_name="odds")
