from django.db import models


class Author(models.Model):
    name = models.TextField()


class Book(models.Model):
    title = models.TextField()
    sold = models.IntegerField(default=0)
    authors = models.ManyToManyField(Author)
