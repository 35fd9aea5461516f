from django.conf import settings
from django.http import HttpResponse
from django.urls import path, re_path

from ddpcore_django import MeteorView

PUBLIC = {"public": {"deep": {"b": 2}}}


class Bare(MeteorView):
    """By attributes of a subclass, as django-ddp's users had it."""

    json_path = settings.BUNDLE
    root_url_path_prefix = "/bare"
    inline_scripts = False
    meteor_settings = PUBLIC

    def runtime_config(self, config, request):
        return config | {"agent": request.headers.get("user-agent")}


urlpatterns = [
    path("hello", lambda request: HttpResponse("the site")),
    re_path("^bare(?P<rest>/.*)?$", Bare.as_view()),
    re_path(
        r"^(?P<path>.*)$",
        MeteorView.as_view(json_path=settings.BUNDLE, meteor_settings=PUBLIC),
    ),
]
