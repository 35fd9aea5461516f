"""What triggers announce, signals leave alone; and every statement may have been a write."""

from __future__ import annotations

from pathlib import Path

import pytest
from project import Project

SEE = """
from ddpcore.live.fence import WriteFence, current_fence
from ddpcore_django.capture import captured_topics
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete

def receivers(model):
    names = 'post_save pre_delete post_delete m2m_changed'
    return [name for name in names.split() if globals()[name].has_listeners(model)]

def wrote(function):
    fence = WriteFence()
    token = current_fence.set(fence)
    function()
    current_fence.reset(token)
    return fence.wrote
"""


@pytest.fixture
def shell(rows_dsn, capture):
    site = Path(__file__).parent / "site"
    project = Project(site, "rowsite.settings", rows_dsn, TEST_CAPTURE=capture)
    shell = project.shell()
    shell(SEE)
    yield shell
    project.end()


@pytest.mark.parametrize("capture", ["triggers"])
def test_with_triggers_there_are_no_receivers(shell):
    shell(
        "for model in (Member, Member.labels.through, Member.friends.through, Label, Membership):\n"
        "    assert receivers(model) == [], model\n"
        "assert {'rowsite.member', 'rowsite.member_labels', 'rowsite.loud'} <= captured_topics()\n"
        # No trigger could tell of these.
        "assert receivers(Loud) == receivers(Pair) == ['post_save', 'pre_delete', 'post_delete']\n"
    )


@pytest.mark.parametrize("capture", ["triggers"])
def test_with_triggers_every_statement_may_have_written(shell):
    shell(
        "assert wrote(lambda: Member.objects.bulk_create([Member(code='a')]))\n"
        "assert wrote(lambda: Member.objects.update(code='b'))\n"
        "connection.close()\n"  # so too when it is opened again
        "assert wrote(lambda: connection.cursor().execute('DELETE FROM rowsite_member'))\n"
        "assert not wrote(lambda: None)\n"
    )


@pytest.mark.parametrize("capture", ["signals"])
def test_with_signals_only_what_was_announced_did(shell):
    shell(
        "assert receivers(Label) == ['pre_delete'] and receivers(Visit)\n"
        "assert receivers(Member.labels.through) == ['m2m_changed']\n"
        "assert wrote(lambda: Member.objects.create(code='a'))\n"
        "assert not wrote(lambda: Member.objects.count())\n"
        "assert connection.execute_wrappers == []\n"
    )
