"""The client side of a Meteor app, served: what ``meteor build`` made of it, without its server.

All of it knows neither Tornado nor Django: a `MeteorApp` takes requests and gives responses.
`ddpcore_tornado.meteor_handlers` and `ddpcore_django.MeteorView` are its faces.
"""

from __future__ import annotations

from ddpcore.meteor.app import MeteorApp
from ddpcore.meteor.bundle import Bundle, BundleError, load
from ddpcore.meteor.options import Options
from ddpcore.meteor.responder import Request, Response

__all__ = ["Bundle", "BundleError", "MeteorApp", "Options", "Request", "Response", "load"]
