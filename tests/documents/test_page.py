"""The documents that docs/reference/django.md shows are those that its publications have."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "bookstore"

SCRIPT = """
import json, django
django.setup()
from bookstore.models import Author, Book
from ddpcore_django.api import API
from ddpcore_django.documents import Projection
from django.core.management import call_command
call_command("migrate", verbosity=0)
author = Author.objects.create(pk=3, name="Jane Austen", email="jane@example.org")
Book.objects.create(pk=7, title="Emma", author=author)
shown = {}
for name, publication in API.publications.items():
    (queryset,) = publication.get_queries()
    collection = API.collection_of(queryset.model)
    (document,) = Projection(collection, collection.name, queryset).read(queryset).values()
    shown[name] = document.fields
print(json.dumps(shown))
"""


def test_the_documents_on_the_page(tmp_path):
    page = (ROOT / "docs" / "reference" / "django.md").read_text()
    section = page[page.index("## What documents hold") :]
    block = re.search(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)[1]
    table = section[section.index("| publication | a document |") :].split("\n\n")[0]
    expected = {
        name: json.loads(document)
        for name, document in re.findall(r"^\| `(\w+)` \| `(.*)` \|$", table, re.MULTILINE)
    }
    project = tmp_path / "bookstore"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3*"))
    (project / "bookstore" / "ddp.py").write_text(block)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={name: text for name, text in os.environ.items() if not name.startswith("BOOKSTORE_")}
        | {
            "DJANGO_SETTINGS_MODULE": "mysite.settings",
            "PYTHONPATH": os.pathsep.join([str(project), str(ROOT)]),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected
    assert len(expected) == 4
