"""The names of `ddp.py` modules, where django-ddp had them: `from ddpcore_django.api import …`."""

from ddpcore.errors import MeteorError
from ddpcore_django.collection import Collection
from ddpcore_django.current import this
from ddpcore_django.endpoints import APIMixin, api_endpoint
from ddpcore_django.guards import login_required, permission_required, staff_only
from ddpcore_django.ids import AleaIdField
from ddpcore_django.publication import Publication
from ddpcore_django.registry import API, AlreadyRegistered

__all__ = [
    "API",
    "APIMixin",
    "AleaIdField",
    "AlreadyRegistered",
    "Collection",
    "MeteorError",
    "Publication",
    "api_endpoint",
    "login_required",
    "permission_required",
    "staff_only",
    "this",
]
