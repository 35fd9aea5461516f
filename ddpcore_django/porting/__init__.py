"""`ddpcore port-django-ddp`: rewrites the sources of a project that used django-ddp.

Nothing here imports Django or the project: sources are read as text.
See docs/coming-from/django-ddp.md.
"""

__all__: list[str] = []
