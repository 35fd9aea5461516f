from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=200, error_messages={"blank": "A name, please."})
    email = models.EmailField(error_messages={"blank": "An e-mail address, please."})

    def __str__(self):
        return self.name


class Book(models.Model):
    title = models.CharField(max_length=200, error_messages={"blank": "A title, please."})
    author = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="books")

    def __str__(self):
        return self.title
