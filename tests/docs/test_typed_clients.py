"""docs/how-to/typed-clients.md: its project has those declarations, and its client runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pages
import pytest
from project import Project
from typescript import EXAMPLE, TSC, need_typescript

from ddpcore.typescript.annotations import Types

ROOT = pages.ROOT
PAGE = "how-to/typed-clients.md"
WS = ROOT / "tests" / "interop" / "node_modules" / "ws"

MANAGE = """
import os, sys
from django.core.management import execute_from_command_line
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
execute_from_command_line(sys.argv)
"""

SETTINGS = """
import os
SECRET_KEY = "docs"
USE_TZ = True
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "mysite.urls"
INSTALLED_APPS = ["ddpcore_django", "shop"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["TEST_DATABASE"],
                         "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20}}}
"""


@pytest.fixture
def project(tmp_path: Path):
    """A project with the files of the page, but for the declarations: these are to be made."""
    files = pages.files(PAGE)
    made = files.pop("web/server.d.ts")
    pages.write(
        files
        | {
            "manage.py": MANAGE,
            "mysite/__init__.py": "",
            "mysite/settings.py": SETTINGS,
            "mysite/urls.py": "urlpatterns = []\n",
            "shop/__init__.py": "",
        },
        tmp_path,
    )
    project = Project(tmp_path, "mysite.settings", str(tmp_path / "db.sqlite3"))
    project.made = made
    yield project
    project.end()


def run(project: Project, command: str) -> subprocess.CompletedProcess[str]:
    name, *arguments = command.split()
    assert name == "ddpcore"
    return subprocess.run(
        [sys.executable, "-m", "ddpcore", *arguments],
        cwd=project.site, env=project.env, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_the_commands_do_what_the_page_says(project):
    commands = [each for block in pages.blocks(PAGE, "console") for each in block.commands]
    assert len(commands) == 3
    for command, output in commands:
        done = run(project, command)
        assert (done.returncode, done.stdout) == (0, output), done.stderr
    assert (project.site / "web/server.d.ts").read_text() == project.made


def test_a_stale_file_is_told(project):
    command = "ddpcore types --settings mysite.settings --output web/server.d.ts"
    done = run(project, f"{command} --check")
    assert done.returncode == 1
    assert done.stdout.endswith(f"web/server.d.ts is missing: {command}\n")
    assert run(project, command).returncode == 0
    models = project.site / "shop/models.py"
    models.write_text(models.read_text().replace("due = ", "until = "))
    done = run(project, f"{command} --check")
    assert done.returncode == 1
    assert "\n-    due: Date | null;\n+    until: Date | null;\n" in done.stdout
    assert done.stdout.endswith(f"web/server.d.ts is stale: {command}\n")
    assert (project.site / "web/server.d.ts").read_text() == project.made


def test_what_models_do_not_say(project):
    """The classes of shop/typed.py are declared as the page says."""
    ddp = project.site / "shop/ddp.py"
    ddp.write_text(
        f"{ddp.read_text()}\nfrom shop.typed import Ranked, Shouts\nAPI.register([Ranked, Shouts])\n"
    )
    models = project.site / "shop/models.py"
    models.write_text(
        f"{models.read_text()}    settings = models.JSONField(default=dict)\n"
        "    secret = models.JSONField(default=dict)\n"
    )
    text = run(project, "ddpcore types --settings mysite.settings").stdout
    ranked = text[text.index("  ranked: {") :].partition("\n  };")[0]
    assert "    settings: Settings;\n    secret: unknown;\n    rank?: number;" in ranked
    shouts = text[text.index("  shouts: ") :].partition("\n  };")[0]
    assert shouts.splitlines()[1:] == ["    title: string;", "    words: number;"]
    field = """
import django
django.setup()
from ddpcore_django.field_types import annotation_of
from shop.typed import ColourField
print(annotation_of(ColourField()), annotation_of(ColourField(null=True)))
"""
    done = subprocess.run(
        [sys.executable, "-c", field],
        cwd=project.site, env=project.env, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "<class 'str'> typing.Optional[str]\n"


def test_annotations_become_what_the_table_says():
    import datetime as dt
    from decimal import Decimal
    from typing import Literal
    from uuid import UUID

    known = {
        "str": str, "bool": bool, "list[int]": list[int], "tuple[int, str]": tuple[int, str],
        "dict[str, int]": dict[str, int], "datetime": dt.datetime, "bytes": bytes, "Any": object,
        "Decimal": Decimal, "UUID": UUID, "date": dt.date, 'Literal["asc", "desc"]': Literal["asc"],
    }  # fmt: skip
    page = (pages.DOCS / PAGE).read_text()
    rows = page[page.index("| in Python |") :].partition("\n\n")[0].splitlines()[2:]
    types, seen = Types(), 0
    for row in rows:
        left, right = row.strip("| ").split(" | ", 1)
        for name, annotation in known.items():
            if f"`{name}`" in left and "as parameters" not in left and "results" not in left:
                text = types.text(annotation, "taken")
                assert text in right or "union" in right, (row, text)
                seen += 1
    assert seen >= 8


@pytest.mark.node
def test_the_client_compiles_and_runs(project):
    need_typescript()
    run(project, "ddpcore types --settings mysite.settings --output web/server.d.ts")
    project.migrate()
    (project.site / "node_modules").symlink_to(EXAMPLE / "node_modules")
    web = project.site / "web"
    done = subprocess.run(
        [str(TSC), "--strict", "--noEmit", "--pretty", "false", "--target", "es2022", "--module",
         "es2022", "--moduleResolution", "bundler", "--types", "", "main.ts", "simpleddp.d.ts"],
        cwd=web, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout == ""

    # In node, whose socket it is given; and without the lines that are wrong on purpose.
    server = project.serve()
    live, main = web / "live.ts", web / "main.ts"
    assert live.read_text().count("localhost:8000") == 1
    live.write_text(live.read_text().replace("localhost:8000", server.address))
    main.write_text(main.read_text().partition("// @ts-expect-error")[0])
    (web / "socket.js").write_text(f'import ws from "{WS}/index.js";\nglobalThis.WebSocket = ws;\n')
    subprocess.run(
        [str(EXAMPLE / "node_modules/.bin/esbuild"), "main.ts", "--bundle", "--platform=node",
         "--format=esm", "--inject:socket.js", "--outfile=main.mjs", "--log-level=error",
         "--banner:js=import{createRequire}from'module';const require=createRequire(import.meta.url);"],
        cwd=web, check=True, timeout=60,
    )  # fmt: skip
    with subprocess.Popen(["node", "main.mjs"], cwd=web, stdout=subprocess.PIPE, text=True) as node:
        line = node.stdout.readline()
        node.kill()
    assert line == "Write it down open 2026\n"
    assert server.end() == 0, server.errors
