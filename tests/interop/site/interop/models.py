from django.db import models


class Note(models.Model):
    """A document whose id the client may have made, as Meteor's ids are."""

    id = models.CharField(max_length=17, primary_key=True)
    text = models.TextField()
    stars = models.IntegerField(default=0)
