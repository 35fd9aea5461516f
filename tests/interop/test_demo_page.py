"""The page of the bookstore example, in headless Chromium."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.pg]

TITLE = "[data-test=book-title]"


@pytest.fixture
def windows(launch, tmp_path):
    return launch("windows", str(tmp_path))


@pytest.fixture
def books(writer):
    author = writer("create", "Author", name="Jane Austen", email="jane@example.org")
    return [
        writer("create", "Book", title=title, author_id=author)
        for title in ("Pride and Prejudice", "Emma")
    ]


def rename(windows, window, old, new):
    windows.do("click", window, f"{TITLE}:text-is('{old}')")
    windows.do("fill", window, "[data-test=edit]", new)
    windows.do("press", window, "[data-test=edit]", "Enter")


def test_an_edit_in_one_window_appears_in_the_other(windows, books):
    for window in ("left", "right"):
        windows.do("open", window, f"/shop?who={window}")
        windows.do("see", window, TITLE, "Emma")

    rename(windows, "left", "Emma", "Persuasion")
    windows.do("see", "right", TITLE, "Persuasion")
    windows.do("unsee", "right", TITLE, "Emma")

    rename(windows, "right", "Persuasion", "Mansfield Park")
    windows.do("see", "left", TITLE, "Mansfield Park")


def test_the_start_page_has_two_windows_and_measures_the_way_between_them(windows, books):
    windows.do("open", "home", "/")
    for window in ("left", "right"):
        windows.do("enter", window, "home", f"[data-test=window-{window}]")
        windows.do("see", window, TITLE, "Emma")

    rename(windows, "left", "Emma", "Persuasion")
    windows.do("see", "right", TITLE, "Persuasion")
    windows.do("see", "home", "[data-test=latency] :text-matches('^[0-9.]+ ms$')")

    windows.do("click", "home", "[data-test=reprint]")  # an ordinary form, an ordinary view
    for window in ("left", "right"):
        windows.do("see", window, TITLE, "(printing 2)")


def test_a_window_adds_removes_and_filters(windows, writer, books):
    for window in ("left", "right"):
        windows.do("open", window, f"/shop?who={window}")
        windows.do("see", window, TITLE, "Emma")

    windows.do("fill", "left", "[data-test=add-book-title]", "Lady Susan")
    windows.do("click", "left", "[data-test=add-book]")
    windows.do("see", "right", TITLE, "Lady Susan")

    emma = "[data-test=book]:has-text('Emma')"
    windows.do("click", "right", f"{emma} [data-test=remove-book]")
    windows.do("unsee", "left", TITLE, "Emma")

    windows.do("fill", "left", "[data-test=filter-email]", "jules@example.org")
    windows.do("press", "left", "[data-test=filter-email]", "Enter")
    windows.do("see", "left", "[data-test=empty]", "Nobody has the e-mail jules@example.org")
    jules = writer("create", "Author", name="Jules Verne", email="jules@example.org")
    writer("create", "Book", title="Michael Strogoff", author_id=jules)
    windows.do("see", "left", TITLE, "Michael Strogoff")
    windows.do("see", "right", TITLE, "Michael Strogoff")


def test_a_change_by_another_process_appears(windows, writer, books):
    windows.do("open", "shop", "/shop")
    windows.do("see", "shop", TITLE, "Emma")

    writer("save", "Book", books[1], title="Sanditon")
    windows.do("see", "shop", TITLE, "Sanditon")
