from django.db import models


class Author(models.Model):
    email = models.EmailField()


class Book(models.Model):
    author = models.ForeignKey(Author, models.CASCADE)
    title = models.CharField(max_length=100)


class Note(models.Model):
    owner = models.IntegerField(db_index=True)
    text = models.CharField(max_length=100)
