"""Installing triggers: by migrate, by command, by a migration; and being told when they are not."""

from __future__ import annotations

import re
import subprocess
import sys

import psycopg2
import pytest

from .conftest import site


def rows(project, query):
    connection = psycopg2.connect(project.database)
    with connection, connection.cursor() as cursor:
        cursor.execute(query)
        found = cursor.fetchall() if cursor.description else []
    connection.close()
    return found


def tables(project):
    """Those with all four triggers of ours."""
    return {
        name
        for name, count in rows(
            project,
            "SELECT tgrelid::regclass::text, count(*) FROM pg_trigger"
            " WHERE tgname LIKE 'ddpcore%' GROUP BY 1",
        )
        if count == 4
    }


def manage(project, *arguments):
    """The exit code and all that was printed."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        env=project.env,
        cwd=project.site,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


ALL = {
    "auth_user",
    "auth_user_groups",
    "auth_user_user_permissions",
    "shop_item",
    "triggersite_author",
    "triggersite_book",
    "triggersite_book_tags",
    "triggersite_place",
    "triggersite_restaurant",
    "triggersite_tag",
}


# The word of an older version.
STALE = """
DO $$ BEGIN EXECUTE (
    SELECT format('COMMENT ON FUNCTION %s IS %L', tgfoid::regprocedure,
        'ddpcore announces changes of triggersite.book (0)')
    FROM pg_trigger WHERE tgname = 'ddpcore_insert' AND tgrelid = 'triggersite_book'::regclass
); END $$
"""


def test_migrate_installs_them(project):
    assert tables(project) == ALL


def test_migrate_says_so_once(pg_dsn):
    project = site(pg_dsn)
    said = project.manage("migrate", "--run-syncdb")
    assert said.count("Installed triggers on") == len(ALL)
    assert "Installed triggers" not in project.manage("migrate", "--run-syncdb")
    assert rows(project, "SELECT name FROM shop_item") == [("made by a migration",)]


def test_status_install_remove(project):
    code, said = manage(project, "ddp_triggers", "status")
    # The table of one model is a view that this project has not made.
    assert code == 1
    assert len(re.findall(" installed", said)) == len(ALL)
    assert re.search(r"triggersite.Shown +absent +There is no table", said)
    assert manage(project, "ddp_triggers", "install")[0] == 0
    rows(project, "ALTER TABLE triggersite_book DISABLE TRIGGER ddpcore_update")
    said = manage(project, "ddp_triggers", "status")[1]
    assert re.search(r"triggersite.Book +missing +The trigger for UPDATE is disabled", said)
    rows(project, "ALTER TABLE triggersite_book ENABLE TRIGGER ddpcore_update")
    rows(project, STALE)
    assert re.search(r"triggersite.Book +stale", manage(project, "ddp_triggers", "status")[1])
    rows(project, "CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'")
    code, said = manage(project, "ddp_triggers", "remove")
    assert said.count("Removed triggers on") == len(ALL)
    assert tables(project) == set()
    functions = "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    assert rows(project, functions) == [("theirs",)]
    assert manage(project, "ddp_triggers", "remove") == (0, "There are no triggers.\n")
    assert re.search(r"triggersite.Book +missing", manage(project, "ddp_triggers", "status")[1])
    assert manage(project, "ddp_triggers", "install")[0] == 0
    assert tables(project) == ALL


def test_the_sql_can_be_run_by_somebody_else(project):
    manage(project, "ddp_triggers", "remove")
    rows(project, "CREATE TABLE shown (id int PRIMARY KEY, title text)")
    rows(project, project.manage("ddp_triggers", "sql"))
    assert tables(project) == ALL | {"shown"}
    assert manage(project, "ddp_triggers", "status")[0] == 0


def test_other_settings_at_the_next_migrate(project):
    by_signals = site(project.database, CAPTURE="signals")
    assert tables(project) == ALL
    by_signals.migrate()
    assert tables(project) == set()
    assert "No model is captured" in by_signals.manage("ddp_triggers", "status")
    rows(project, "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'")
    rows(project, "COMMENT ON FUNCTION other() IS 'ddpcore announces changes of other.Thing (x)'")
    project.migrate()
    assert tables(project) == ALL
    # Another project's, which shares the database.
    assert rows(project, "SELECT 1 FROM pg_proc WHERE proname = 'other'") == [(1,)]


def test_a_role_that_may_not(project):
    manage(project, "ddp_triggers", "remove")
    name = "ddpcore_stranger"
    rows(project, f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    try:
        for kind in ("TABLES", "SEQUENCES"):
            rows(project, f"GRANT ALL ON ALL {kind} IN SCHEMA public TO {name}")
        database = re.sub(r"//([^/@]*@)?", f"//{name}:secret@", project.database)
        stranger = site(database)
        code, said = manage(stranger, "ddp_triggers", "install")
        assert (code, "The database refused: permission denied" in said) == (1, True), said
        code, said = manage(stranger, "migrate")
        assert code == 0, said
        assert said.count("could not be brought up to date") == len(ALL)
    finally:
        rows(project, f"DROP OWNED BY {name}; DROP ROLE {name}")
    assert tables(project) == set()


# --- migrations -------------------------------------------------------------------------------


def test_the_operation_goes_both_ways(project):
    project.manage("migrate", "shop", "0002")
    assert "shop_item" in tables(project)
    rows(project, "INSERT INTO shop_item (name) VALUES ('while the model is ahead')")
    project.manage("migrate", "shop", "0001")
    assert "shop_item" not in tables(project)
    project.manage("migrate", "shop")
    assert tables(project) == ALL
    assert re.search(r"shop.Item +installed", manage(project, "ddp_triggers", "status")[1])


def test_the_operation_as_sql(project):
    forwards = project.manage("sqlmigrate", "shop", "0002")
    assert "CREATE TRIGGER ddpcore_insert" in forwards
    assert "price" not in forwards  # that column comes later
    backwards = project.manage("sqlmigrate", "shop", "0002", "--backwards")
    assert "DROP FUNCTION IF EXISTS" in backwards


def test_the_operation_does_nothing_where_signals_are_chosen(project, tmp_path):
    manage(project, "ddp_triggers", "remove")
    other = site(project.database, CAPTURE="signals")
    assert "CREATE TRIGGER" not in other.manage("sqlmigrate", "shop", "0002")
    site(str(tmp_path / "site.sqlite3"), CAPTURE="signals").migrate()


def test_migrations_are_complete(project):
    assert "No changes detected" in project.manage("makemigrations", "shop", "--check", "--dry-run")


# --- checks -----------------------------------------------------------------------------------


def test_checks_ask_the_database_only_when_told_to(project):
    manage(project, "ddp_triggers", "remove")
    assert manage(project, "check") == (0, "System check identified no issues (0 silenced).\n")
    code, said = manage(project, "check", "--database", "default")
    assert code == 0
    assert said.count("ddpcore.W002") == len(ALL)
    assert "ddp_triggers install" in said
    manage(project, "ddp_triggers", "install")
    rows(project, STALE)
    said = manage(project, "check", "--database", "default")[1]
    assert said.count("ddpcore.W00") == said.count("ddpcore.W003") == 1
    rows(project, "ALTER TABLE triggersite_book DISABLE TRIGGER ddpcore_update")
    said = manage(project, "check", "--database", "default")[1]
    assert said.count("ddpcore.W00") == said.count("ddpcore.W002") == 1
    assert "The trigger for UPDATE is disabled." in said


def test_a_view_cannot_have_them(project):
    rows(project, "CREATE VIEW shown AS SELECT id, title FROM triggersite_book")
    said = manage(project, "check", "--database", "default")[1]
    assert "ddpcore.W002" in said
    assert "is a view" in said


def test_an_unreachable_database_is_no_finding():
    project = site("postgresql://127.0.0.1:1/nothing")
    code, said = manage(project, "check", "--database", "default", "--tag", "ddpcore")
    assert (code, "no issues" in said) == (0, True)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"CAPTURE": "triggers"}, "is sqlite"), ({"CAPTURE": "triggers", "BUS": "memory:"}, "BUS")],
)
def test_where_triggers_cannot_work(project, tmp_path, settings, reason):
    place = project.database if "BUS" in settings else str(tmp_path / "site.sqlite3")
    code, said = manage(site(place, **settings), "check")
    assert code == 1
    assert "ddpcore.E003" in said
    assert reason in said


def test_a_capture_that_does_not_exist(project):
    code, said = manage(site(project.database, CAPTURE="magic"), "check")
    assert code == 1
    assert '"signals" or "triggers", not \'magic\'' in said


def test_without_its_triggers_a_project_is_not_served(project):
    rows(project, STALE)
    project.serve().end()  # all is seen
    rows(project, "DROP TRIGGER ddpcore_insert ON triggersite_book")
    done = subprocess.run(
        [sys.executable, "-m", "ddpcore", "serve", "--settings", "triggersite.settings"],
        env=project.env,
        cwd=project.site,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "ddp_triggers install" in done.stderr
