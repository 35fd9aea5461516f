"""What those do who begin: a project that lacks something, and what it says to do."""

from __future__ import annotations

import signal

import pytest

SETTINGS = """
INSTALLED_APPS = ["django.contrib.contenttypes", "ddpcore_django", "shelf"]
SECRET_KEY = "x"
DEBUG = True
ROOT_URLCONF = "urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
DDP = """
from ddpcore_django import API, Publication

class Nothing(Publication):
    queries = []

API.register(Nothing)
"""


@pytest.fixture
def project(shell):
    shell.write("settings.py", SETTINGS)
    shell.write("urls.py", "urlpatterns = []\n")
    shell.write("shelf/__init__.py", "")
    return shell


@pytest.mark.parametrize(
    ("text", "warned"),
    [(None, True), (DDP.replace("API.register", "repr"), True), (DDP, False)],
    ids=["no ddp.py", "not registered", "registered"],
)
def test_a_project_that_publishes_nothing(project, text, warned):
    if text is not None:
        project.write("shelf/ddp.py", text)
    process = project.serve("--settings", "settings")
    process.address()
    code, _, err = process.end(signal.SIGTERM)
    assert code == 0
    assert ("Clients will find nothing" in err) is warned
    assert err.count("\n") == warned


@pytest.mark.parametrize("page", ["lambda request: HttpResponse()", None])
def test_a_subscription_to_runserver(project, page):
    if page is not None:  # for all addresses
        project.write("urls.py", "from django.http import HttpResponse\n"
                      "from django.urls import re_path\n"
                      f"urlpatterns = [re_path('', {page})]\n")  # fmt: skip
    else:
        project.write("urls.py", "from django.urls import path\n"
                      "urlpatterns = [path('a', lambda request: None)]\n")  # fmt: skip
    project.write("manage.py", "from django.core.management import *\nimport sys\n"
                  "execute_from_command_line(sys.argv)\n")  # fmt: skip
    site = project.start("manage.py", "runserver", "--noreload", "--settings=settings", "0")
    try:
        code, _, err = project.run("sub", site.address(), "Nothing")
    finally:
        site.kill()
    assert code == 2
    assert err.endswith("Django's runserver is none: use `ddpcore serve`.\n")


def test_the_list_of_commands_leads_on(shell):
    """Each command that the last lines of `ddpcore --help` name is there."""
    _, out, _ = shell.run("--help")
    for command in ("demo", "serve", "check"):
        assert f"ddpcore {command}" in " ".join(out.split())
        assert shell.run(command, "--help")[0] == 0
