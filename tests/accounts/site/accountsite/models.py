from django.contrib.auth import get_user_model
from django.db import models

User = get_user_model()


class Mark(models.Model):
    """Written by a method that is called for its `updated`."""
