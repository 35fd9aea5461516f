"""Models with django-ddp's `AleaIdField`: their tables and ids stay as they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pages
from project import Project

SITE = {
    "manage.py": "import sys\n\nfrom django.core.management import execute_from_command_line\n\n"
    "import dddp\ndddp.greenify()\n\nexecute_from_command_line(sys.argv)\n",
    "site_settings.py": "import os\n\nINSTALLED_APPS = ['django.contrib.contenttypes', 'dddp', 'notes']\n"
    "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': os.environ['TEST_DATABASE']}}\n"
    "SECRET_KEY = 'x'\nDDPCORE = {'SITE': None}\n",
    "notes/__init__.py": "",
    "notes/migrations/__init__.py": "",
    "notes/models.py": "from django.db import models\n\nfrom dddp.models import AleaIdField\n\n\n"
    "class Note(models.Model):\n    id = AleaIdField(primary_key=True)\n    text = models.TextField()\n\n\n"
    "class Tag(models.Model):\n    aid = AleaIdField(unique=True)\n    note = models.ForeignKey(Note, models.CASCADE)\n",
    # As its makemigrations wrote it.
    "notes/migrations/0001_initial.py": "from django.db import migrations, models\n"
    "import dddp.models\n\n\nclass Migration(migrations.Migration):\n    dependencies = [\n"
    "        ('dddp', '0009_auto_20150812_0856'),\n    ]\n    operations = [\n"
    "        migrations.CreateModel(name='Note', fields=[\n"
    "            ('id', dddp.models.AleaIdField(primary_key=True, serialize=False, verbose_name='Alea ID', max_length=17)),\n"
    "            ('text', models.TextField()),\n        ]),\n"
    "        migrations.CreateModel(name='Tag', fields=[\n"
    "            ('id', models.AutoField(primary_key=True, serialize=False, auto_created=True, verbose_name='ID')),\n"
    "            ('aid', dddp.models.AleaIdField(verbose_name='Alea ID', max_length=17, unique=True)),\n"
    "            ('note', models.ForeignKey('notes.Note', models.CASCADE)),\n        ]),\n    ]\n",
}  # fmt: skip

CHECK = """
from notes.models import Note, Tag
old = Note.objects.create(id='an_id_of_long_ago', text='old')
new = Note.objects.create(text='new')
tag = Tag.objects.create(note=old)
assert len(new.pk) == len(tag.aid) == 17 and isinstance(tag.pk, int), (new.pk, tag.aid, tag.pk)
from ddpcore_django.serialize import document_id
assert document_id(Note.objects.get(text='old').pk) == 'an_id_of_long_ago'
"""


def test_nothing_of_the_tables_changes(tmp_path: Path) -> None:
    pages.write(SITE, tmp_path)
    subprocess.run(
        [sys.executable, "-m", "ddpcore", "port-django-ddp", "--write", "."],
        cwd=tmp_path, env={"PYTHONPATH": str(pages.ROOT)}, check=True, timeout=60,
    )  # fmt: skip
    project = Project(tmp_path, "site_settings", str(tmp_path / "db.sqlite3"))
    before = project.manage("sqlmigrate", "notes", "0001")
    assert '"id" varchar(17) NOT NULL PRIMARY KEY' in before
    assert '"aid" varchar(17) NOT NULL UNIQUE' in before
    project.manage("makemigrations", "notes", "--name", "next")
    assert list((tmp_path / "notes" / "migrations").glob("0002_next.py"))
    sql = project.manage("sqlmigrate", "notes", "0002").splitlines()
    assert [line for line in sql if line and not line.startswith("--")] == ["BEGIN;", "COMMIT;"]
    project.migrate()
    try:
        project.shell()(CHECK)
    finally:
        project.end()
