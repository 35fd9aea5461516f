"""Python sources of projects that used django-ddp, before and after."""

from __future__ import annotations

import ast
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpcore_django.porting.python import port

# What is to become of a source, and words of what is left to a person, with the line.
REWRITTEN = {
    "imports": (
        "from dddp.api import API, Collection as C, Publication\n",
        "from ddpcore_django import API, Collection as C, Publication\n",
    ),
    "comments and line breaks in an import": (
        "from dddp.api import (\n    API,  # the registry\n    # and\n    api_endpoint,\n)  # end\n",
        "from ddpcore_django import (\n    API,  # the registry\n    # and\n    api_endpoint,\n)  # end\n",
    ),
    "this": (
        "from dddp import THREAD_LOCAL as this, MeteorError\n\nprint(this.user_id)\n",
        "from ddpcore_django import this, MeteorError\n\nprint(this.user_id)\n",
    ),
    "another name of it": (
        "from dddp import THREAD_LOCAL as local\nfrom dddp import THREAD_LOCAL\n",
        "from ddpcore_django import this as local\nfrom ddpcore_django import this as THREAD_LOCAL\n",
    ),
    "names where other modules had them": (
        "from dddp.websocket import MeteorError, this\nfrom dddp.models import meteor_random_id\n",
        "from ddpcore_django import MeteorError, this\nfrom ddpcore import random_id as meteor_random_id\n",
    ),
    "one import becomes two": (
        "def f():\n    from dddp import this, meteor_random_id\n    return meteor_random_id()\n",
        ("def f():\n    from ddpcore_django import this\n"
        "    from ddpcore import random_id as meteor_random_id\n    return meteor_random_id()\n"),
    ),
    "and keeps its comments": (
        "from dddp import (\n    this,  # who\n    meteor_random_id,\n)\n",
        "# who\nfrom ddpcore_django import this\nfrom ddpcore import random_id as meteor_random_id\n",
    ),
    "on a line with others": (
        "import os; from dddp import this, meteor_random_id; x = 1\n",
        ("import os; from ddpcore_django import this; "
        "from ddpcore import random_id as meteor_random_id; x = 1\n"),
    ),
    "a module by a name": (
        "import dddp.api as api\n\n\nclass Books(api.Collection):\n    model = 1\n\n\napi.API.register(Books)\n",
        ("from ddpcore_django import api\n\n\nclass Books(api.Collection):\n    model = 1\n\n\n"
        "api.API.register(Books)\n"),
    ),
    "a module of the package": (
        "from dddp import api as ddp, views\n\nx = [ddp.API, views.MeteorView]\n",
        ("from ddpcore_django import api as ddp\nfrom ddpcore_django import views\n\n"
        "x = [ddp.API, views.MeteorView]\n"),
    ),
    "qualified names": (
        "import dddp\nimport dddp.api\n\n@dddp.api.api_endpoint\ndef f():\n    raise dddp.MeteorError(1)\n",
        ("import ddpcore_django\n\n@ddpcore_django.api_endpoint\ndef f():\n"
        "    raise ddpcore_django.MeteorError(1)\n"),
    ),
    "beside other modules": (
        "import os, dddp\n\ndddp.this\n",
        "import os\nimport ddpcore_django\n\nddpcore_django.this\n",
    ),
    "of the old name": (
        "import dddp as d\n\nd.THREAD_LOCAL.user\n",
        "import ddpcore_django as d\n\nd.this.user\n",
    ),
    "greenify": (
        "import dddp\ndddp.greenify()\n\nimport os\n",
        "\nimport os\n",
    ),
    "greenify, where nothing else is": (
        ("if True:\n    from dddp import greenify, this  # now\n    greenify()\n"
        "def f():\n    import dddp as d; d.greenify()\n"),
        "if True:\n    from ddpcore_django import this  # now\ndef f():\n    pass; pass\n",
    ),
    "installed apps": (
        "# -*- coding: utf-8 -*-\nINSTALLED_APPS = (\n    'é', u'dddp',  # live\n    \"dddp.accounts\",\n)\n",
        ("# -*- coding: utf-8 -*-\nINSTALLED_APPS = (\n    'é', u'ddpcore_django',  # live\n"
        '    "ddpcore_django.accounts",\n)\n'),
        (4, "PASSWORD_HASHERS"),
    ),
    "installed apps, in parts": (
        "INSTALLED_APPS = ['a']\nINSTALLED_APPS += ['dddp.apps.DjangoDDPConfig']\n",
        "INSTALLED_APPS = ['a']\nINSTALLED_APPS += ['ddpcore_django']\n",
    ),
    "settings": (
        ("DDP_LOGIN_RESUME_MINUTES_VALID = 240  # four hours\n"
        "DDP_PASSWORD_RESET_MINUTES_VALID = env('X')\n"
        "DDP_API_ENDPOINT_DECORATORS = ['newrelic.agent.background_task']\n"),
        ('DDPCORE_ACCOUNTS = {"LOGIN_DAYS": 240 / (24 * 60)}  # four hours\n'
        "DDPCORE_ACCOUNTS[\"RESET_DAYS\"] = int(env('X')) / (24 * 60)\n"
        "DDP_API_ENDPOINT_DECORATORS = ['newrelic.agent.background_task']\n"),
    ),
    "a migration": (
        ("import dddp.models\n\n\nclass Migration:\n    dependencies = [\n        ('dddp', '0009_auto'),\n"
        "        ('auth', '0001_initial'),\n    ]\n"
        "    operations = [('id', dddp.models.AleaIdField(primary_key=True)), dddp.models.AleaIdField(\n"
        "        max_length=17, unique=True)]\n"),
        ("import ddpcore_django\n\n\nclass Migration:\n    dependencies = [\n        ('auth', '0001_initial'),\n"
        "    ]\n"
        "    operations = [('id', ddpcore_django.AleaIdField(primary_key=True)), "
        "ddpcore_django.AleaIdField(primary_key=False,\n        max_length=17, unique=True)]\n"),
    ),
    "nothing but the dependency": (
        "class Migration:\n    dependencies = [('dddp', '0001_initial')]\n",
        "class Migration:\n    dependencies = []\n",
    ),
    "a field that is no primary key": (
        "from dddp.models import AleaIdField\n\naid = AleaIdField()\nbid = AleaIdField(unique=True)\n",
        ("from ddpcore_django import AleaIdField\n\naid = AleaIdField(primary_key=False)\n"
        "bid = AleaIdField(primary_key=False, unique=True)\n"),
    ),
    "other ends of lines": (
        "import dddp\r\ndddp.greenify()\r\nfrom dddp import this, meteor_random_id\r\nx = '\f'\r\n",
        ("from ddpcore_django import this\r\nfrom ddpcore import random_id as meteor_random_id\r\n"
        "x = '\f'\r\n"),
    ),
}  # fmt: skip
LEFT = {
    "a name that is gone": (
        "from dddp.accounts.ddp import create_user, password_changed\n",
        (1, "create_user"),
        (1, "password_changed"),
    ),
    "one of several": (
        "from dddp.models import AleaIdField, get_meteor_id\n",
        (1, "get_meteor_id"),
    ),
    "of a module": (
        "from dddp import models\n\nid = models.AleaIdField(primary_key=True)\nm = models.get_meteor_id(1)\n",
        (4, "get_meteor_id"),
    ),
    "an id of a stream": (
        "from dddp import meteor_random_id\n\nmeteor_random_id('/collection/x')\n",
        (1, "meteor_random_id"),
    ),
    "a star": ("from dddp.api import *\n", (1, "import *")),
    "a name with two meanings": (
        "import dddp.api as api\n\n\ndef f(api):\n    return api.API\n",
        (1, "dddp.api"),
    ),
    "a name that is replaced": ("import dddp\n\ndddp.api.API = None\n", (3, "dddp.api.API")),
    "either of the two": (
        "try:\n    from ddpcore_django import API\nexcept ImportError:\n    from dddp.api import API\n",
        (4, "dddp.api.API"),
    ),
    "strings": (
        "X = 'dddp.logging.DDPHandler'\nlogging.getLogger('dddp.api')\n'django-ddp==0.19.1'\n",
        (1, "DDPHandler"),
        (2, "dddp.api"),
        (3, "django-ddp"),
    ),
    "both apps": (
        "INSTALLED_APPS = ['dddp', 'ddpcore_django']\n",
        (1, "remove it"),
    ),
    "settings that others may have": (
        "from base import *\nDDP_LOGIN_RESUME_MINUTES_VALID = 5\n",
        (2, "LOGIN_DAYS"),
    ),
    "settings that are needed": (
        ("DDP_LOGIN_RESUME_MINUTES_VALID = 5\nDDP_PASSWORD_RESET_MINUTES_VALID = 2 * "
        "DDP_LOGIN_RESUME_MINUTES_VALID\n"),
        (1, "LOGIN_DAYS"),
        (2, "RESET_DAYS"),
    ),
    "what this has not": (
        "from ddpcore_django import this\n\nprint(this.request.META, this.user, this.ws)\n",
        (3, "this.request"),
        (3, "this.ws"),
    ),
    "who is nobody": (
        ("from ddpcore_django import this\n\nif not this.user or this.user is None:\n    this.user.email\n"
        "x = 1 if this.user else 2\n"),
        (3, "is_authenticated"),
        (5, "is_authenticated"),
    ),
    "ids that are text": (
        ("from ddpcore_django import this\n\na = this.user_id == b.owner_id\n"
        "c = this.user_id is None or this.user_id != str(b.owner_id)\n"),
        (3, "str(obj.owner_id)"),
    ),
    "serialize with two arguments": (
        ("from ddpcore_django import Collection\n\n\nclass A(Collection):\n"
        "    def serialize(self, obj, meteor_ids):\n        pass\n"),
        (5, "A.serialize"),
    ),
    "an error with more": (
        "from ddpcore_django import MeteorError\n\nMeteorError(426, 'no', upgrade='yes')\n",
        (3, "MeteorError"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REWRITTEN)
def test_it_is_rewritten(name: str) -> None:
    before, after, *left = REWRITTEN[name]
    text, findings = port(before)
    assert text == after
    assert [(each.line, True) for each in findings] == [
        (line, word in str(each)) for (line, word), each in zip(left, findings, strict=True)
    ]
    assert port(after) == (after, [])


@pytest.mark.parametrize("name", LEFT)
def test_it_is_left_to_a_person(name: str) -> None:
    before, *left = LEFT[name]
    text, findings = port(before)
    assert [
        (each.line, word in str(each)) for (_, word), each in zip(left, findings, strict=True)
    ] == [(line, True) for line, _ in left]
    again = [each._replace(line=each.line_after) for each in findings]
    assert port(text) == (text, again)  # it is told until it is done


def test_what_cannot_move_stays_beside_what_can() -> None:
    text, _ = port("from dddp.models import AleaIdField, get_meteor_id as gmi\n")
    assert text == (
        "from dddp.models import get_meteor_id as gmi\nfrom ddpcore_django import AleaIdField\n"
    )


def test_behaviour_that_changes_is_told_where_the_import_is_rewritten() -> None:
    before = (
        "from dddp.api import Collection, Publication\n\n\nclass A(Collection):\n    user_rel = 'owner'\n"
        "    def serialize(self, obj, *args):\n        pass\n"
        "    def user_ids_for_object(self, obj):\n        pass\n"
        "    def objects_for_user(self, user, qs=None, xmin__lte=None):\n        pass\n\n\n"
        "class B(Publication):\n    def user_queries(self, user):\n        pass\n"
    )  # fmt: skip
    _, findings = port(before)
    assert [each.what for each in findings] == [
        "A.user_rel", "A.serialize", "A.user_ids_for_object", "A.objects_for_user", "B.user_queries",
    ]  # fmt: skip


def test_a_file_that_is_no_python_3_is_not_touched() -> None:
    with pytest.raises(SyntaxError):
        port("import dddp\nprint 'x'\n")


# --- whatever the source ----------------------------------------------------------------------

PARTS = [
    part for each in [*REWRITTEN.values(), *LEFT.values()] for part in each if isinstance(part, str)
]
statements = st.lists(st.sampled_from(PARTS), min_size=1, max_size=4)


@given(statements, st.booleans())
def test_twice_is_once_and_the_result_is_python(parts: list[str], indented: bool) -> None:
    text = "".join(part.replace("from dddp.api import *", "import os") for part in parts)
    if indented:
        lines = text.replace("\r\n", "\n").split("\n")
        text = "def f():\n" + "\n".join(f"    {line}" if line else line for line in lines)
    text = text.replace("from base import *", "import base")
    ast.parse(text)
    once, _ = port(text)
    ast.parse(once)
    twice, _ = port(once)
    assert twice == once


words = st.text(string.ascii_letters + "_ .:=()[]'\"#\n\t\\,;é\u2028\f", max_size=200)


@given(words)
def test_other_sources_stay_as_they_are(text: str) -> None:
    if "dddp" not in text and "DDP_" not in text:
        try:
            assert port(text)[0] is text
        except (SyntaxError, ValueError):
            pass


@given(st.sampled_from(PARTS), words)
def test_any_source_is_still_python_after_it(part: str, more: str) -> None:
    text = f"{part}\n{more}\n"
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return
    once, _ = port(text)
    ast.parse(once)
    assert port(once)[0] == once
