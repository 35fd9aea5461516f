"""Reading bundles: what is taken, what is refused, and with which words."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
from meteor_bundle import BOTH, LEGACY, MODERN, Made, build, fragment, item, script, style

from ddpcore.meteor import BundleError, MeteorApp, Options, load
from ddpcore.meteor.browsers import is_modern
from ddpcore.meteor.versions import versions


def edit(path, **changes):
    """Change members of a JSON file; None takes one away."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


@pytest.mark.parametrize("backwards", [False, True])
def test_a_bundle_of_today(tmp_path, backwards):
    bundle = load(build(tmp_path, BOTH, backwards=backwards))
    assert set(bundle.programs) == {"web.browser", "web.browser.legacy"}
    assert (bundle.app_id, bundle.release) == ("testapp.id", "METEOR@3.0.4")
    modern = bundle.programs["web.browser"]
    assert "/logo.png" in modern.by_path
    assert "/fonts/a name é.woff2" in modern.by_path
    assert "<title>Bookshop</title>" in modern.head
    assert {each.where for each in modern.items} == {"client", "internal"}
    assert load(tmp_path) == bundle


def test_one_architecture_is_enough_and_cordova_may_be_there(tmp_path):
    star = build(tmp_path, {"web.browser": MODERN, "web.cordova": LEGACY})
    assert set(load(star).programs) == {"web.browser", "web.cordova"}
    (tmp_path / "programs" / "web.cordova" / "program.json").unlink()
    assert set(load(star).programs) == {"web.browser"}
    (tmp_path / "programs" / "web.browser" / "program.json").unlink()
    with pytest.raises(BundleError, match=r"star.json has no program for browsers that exists"):
        load(star)


def test_a_bundle_without_what_is_told_of_the_server(tmp_path):
    star = build(tmp_path, BOTH)
    shutil.rmtree(tmp_path / "programs" / "server")
    bundle = load(star)
    assert (bundle.app_id, bundle.release) == (None, "METEOR@3.0.4")


@pytest.mark.parametrize(
    ("where", "changes", "what"),
    [
        ("star.json", {"format": "site-archive-pre2"}, "format 'site-archive-pre2'"),
        ("star.json", {"format": None}, "format None"),
        ("star.json", {"programs": None}, "no list of programs"),
        ("star.json", {"programs": {}}, "no list of programs"),
        ("star.json", {"programs": [1]}, "no list of programs"),
        ("star.json", {"programs": [{"name": "x"}]}, "without arch or path"),
        ("star.json", {"programs": []}, "no program for browsers"),
        (
            "star.json",
            {"programs": [{"name": "x", "arch": "web.x", "path": "../x/program.json"}]},
            "lies outside",
        ),
        ("programs/web.browser/program.json", {"format": "web-program-pre2"}, "web-program-pre2"),
        ("programs/web.browser/program.json", {"manifest": None}, "no manifest"),
        ("programs/web.browser/program.json", {"manifest": [[]]}, "no manifest"),
        (
            "programs/web.browser/program.json",
            {"manifest": [{"where": "client", "path": "a"}]},
            "without path or hash",
        ),
    ],
)
def test_other_forms_are_refused_by_name(tmp_path, where, changes, what):
    star = build(tmp_path, BOTH)
    edit(tmp_path / where, **changes)
    with pytest.raises(BundleError, match=re.escape(what)) as caught:
        load(star)
    assert str(tmp_path / where) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"[]", b"null"])
@pytest.mark.parametrize(
    "where", ["star.json", "programs/web.browser/program.json", "programs/server/config.json"]
)
def test_damaged_files_are_named(tmp_path, where, content):
    star = build(tmp_path, BOTH)
    (tmp_path / where).write_bytes(content)
    with pytest.raises(BundleError) as caught:
        load(star)
    assert str(tmp_path / where) in str(caught.value)


def test_no_bundle_at_all(tmp_path):
    with pytest.raises(BundleError, match=r"Cannot read .*star.json: No such file"):
        load(tmp_path / "star.json")


def test_files_that_are_missing_or_cut_short(tmp_path):
    star = build(tmp_path, BOTH)
    file = tmp_path / "programs" / "web.browser" / "app" / "app.js"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(BundleError, match=r"app.js has \d+ bytes.*Copy the bundle again"):
        load(star)
    file.unlink()
    with pytest.raises(BundleError, match=r"names 'app/app.js', which is no file"):
        load(star)


OUTSIDE = ["../server/app/app.js", "/etc/passwd", "a/../../server/app/app.js", "nul\0", "..", "."]


def test_a_file_that_goes_while_it_is_looked_at(tmp_path, monkeypatch):
    star = build(tmp_path, BOTH)
    (tmp_path / "programs" / "web.browser" / "app" / "app.js").unlink()
    monkeypatch.setattr(Path, "is_file", lambda _: True)  # a moment ago
    with pytest.raises(BundleError, match="Copy the bundle again"):
        load(star)


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize("member", ["path", "sourceMap"])
def test_manifests_that_name_files_outside(tmp_path, path, member):
    star = build(tmp_path, BOTH)
    program = tmp_path / "programs" / "web.browser" / "program.json"
    bad = item(MODERN[3]) | {member: path}
    bad.pop("size")
    edit(program, manifest=[bad])
    with pytest.raises(BundleError, match=r"outside|no file|null (byte|character)"):
        load(star)


def test_links_are_followed_and_must_end_inside(tmp_path):
    star = build(tmp_path / "bundle", BOTH)
    program = star.parent / "programs" / "web.browser"
    file = program / "app" / "app.js"
    file.rename(program / "inside.js")
    file.symlink_to("../inside.js")
    assert load(star)
    shutil.copy(program / "inside.js", tmp_path / "outside.js")
    file.unlink()
    file.symlink_to(tmp_path / "outside.js")
    with pytest.raises(BundleError, match="lies outside"):
        load(star)
    file.unlink()
    file.symlink_to("app.js")
    with pytest.raises(BundleError):
        load(star)


def test_the_bundle_may_itself_be_a_link(tmp_path):
    build(tmp_path / "release", BOTH)
    (tmp_path / "current").symlink_to("release")
    assert load(tmp_path / "current" / "star.json").programs


# --- versions ---------------------------------------------------------------------------------


def naive(files, settings, wanted):
    """The hash of the specification, computed from the files themselves."""
    text = json.dumps(settings, separators=(",", ":"), ensure_ascii=False)
    for made in files:
        if made.where in ("client", "internal") and wanted(made):
            text += made.path + hashlib.sha1(made.content).hexdigest()
    return hashlib.sha1(text.encode()).hexdigest()


@pytest.mark.parametrize("public", [None, {}, {"name": "Ünïcode", "n": 1, "deep": {"a": [True]}}])
def test_versions_are_these_hashes(tmp_path, public):
    files = [*MODERN, script("hot();", "hot", replaceable=True)]
    bundle = load(build(tmp_path, {"web.browser": files}))
    settings = {} if public is None else {"PUBLIC_SETTINGS": public}
    assert versions(bundle.programs["web.browser"], public) == {
        "version": naive(files, settings, lambda made: True),
        "versionRefreshable": naive(files, settings, lambda made: made.type == "css"),
        "versionNonRefreshable": naive(
            files, settings, lambda made: made.type != "css" and not made.replaceable
        ),
        "versionReplaceable": naive(files, settings, lambda made: made.replaceable),
    }


def test_a_known_hash(tmp_path):
    # Of the text {"PUBLIC_SETTINGS":{}}a.jsaaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d, by `sha1sum`.
    made = Made("js", b"hello", "a.js", "/a.js")
    bundle = load(build(tmp_path, {"web.browser": [made]}))
    expected = "9c8d8a675f76cce432b61eb67f09febcab30072d"
    assert versions(bundle.programs["web.browser"], {})["version"] == expected


def test_the_environment_may_say_the_version(tmp_path, monkeypatch):
    star = build(tmp_path, BOTH)
    monkeypatch.setenv("AUTOUPDATE_VERSION", "seven")
    edition = MeteorApp(star, Options()).edition
    assert set(edition.versions["web.browser"].values()) == {"seven"}
    assert set(edition.config("web.browser", "")["autoupdate"]["versions"]["web.browser"].values()) == {"seven"}  # fmt: skip


def test_styles_change_one_version_and_scripts_the_other(tmp_path):
    def of(*files):
        bundle = load(build(tmp_path, {"web.browser": [fragment("body", "<p>"), *files]}))
        return versions(bundle.programs["web.browser"], {})

    one = of(style("a{}"), script("1"))
    two = of(style("b{}"), script("1"))
    three = of(style("a{}"), script("2"))
    assert one["versionRefreshable"] != two["versionRefreshable"]
    assert one["versionNonRefreshable"] == two["versionNonRefreshable"]
    assert one["versionRefreshable"] == three["versionRefreshable"]
    assert one["versionNonRefreshable"] != three["versionNonRefreshable"]


# --- browsers ---------------------------------------------------------------------------------

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
AGENTS = {
    f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} Chrome/55.0.1 Safari/537.36": True,
    f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} Chrome/54.0.1 Safari/537.36": False,
    f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} HeadlessChrome/131.0 Safari/537.36": True,
    f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/131.0.0.0 Mobile Safari/537.36": True,
    f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/51.0 Safari/537.36 Edge/14.14393": False,
    f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/52.0 Safari/537.36 Edge/15.15063": True,
    f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/131.0 Safari/537.36 Edg/131.0": True,
    f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/54.0 Safari/537.36 OPR/41.0": False,
    f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/55.0 Safari/537.36 OPR/42.0": True,
    f"Mozilla/5.0 (Linux; Android 9) {WEBKIT} SamsungBrowser/6.1 Chrome/56 Safari/537.36": False,
    f"Mozilla/5.0 (Linux; Android 9) {WEBKIT} SamsungBrowser/6.2 Chrome/56 Safari/537.36": True,
    f"Mozilla/5.0 (Macintosh) {WEBKIT} app/1 Chrome/53.0 Electron/1.5.0 Safari/537.36": False,
    f"Mozilla/5.0 (Macintosh) {WEBKIT} app/1 Chrome/56.0 Electron/1.6.0 Safari/537.36": True,
    "Mozilla/5.0 (X11; Linux x86_64; rv:52.0) Gecko/20100101 Firefox/52.0": False,
    "Mozilla/5.0 (X11; Linux x86_64; rv:53.0) Gecko/20100101 Firefox/53.0": True,
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_12) AppleWebKit/602.4.8 (KHTML, like Gecko) Version/10.0.3 Safari/602.4.8": False,
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_12) AppleWebKit/603.1.30 (KHTML, like Gecko) Version/10.1 Safari/603.1.30": True,
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_12) AppleWebKit/602.4.8 (KHTML, like Gecko)": False,
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) AppleWebKit/605.1.15 (KHTML, like Gecko)": True,
    "Mozilla/5.0 (iPhone; CPU iPhone OS 10_2 like Mac OS X) AppleWebKit/602.3.12 (KHTML, like Gecko) Version/10.0 Mobile/14C89 Safari/602.1": False,
    "Mozilla/5.0 (iPhone; CPU iPhone OS 10_3 like Mac OS X) AppleWebKit/603.1.30 (KHTML, like Gecko) Version/10.0 Mobile/14E277 Safari/602.1": True,
    "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/131.0 Mobile/15E148 Safari/604.1": True,
    "Mozilla/5.0 (iPhone; CPU iPhone OS 15_0 like Mac OS X) Mobile [FBAN/FBIOS;FBAV/324.0.0;FBBV/1]": False,
    "Mozilla/5.0 (iPhone; CPU iPhone OS 15_0 like Mac OS X) Mobile [FBAN/FBIOS;FBAV/325.0.0;FBBV/1]": True,
    "Mozilla/5.0 (Linux; U; Android 4.0) AppleWebKit/534.30 (KHTML, like Gecko) Version/40.0 Mobile Safari/534.30": False,
    "Opera/9.80 (Windows NT 6.1) Presto/2.12 Version/12.16": False,
    "Mozilla/5.0 (Windows NT 10.0; Trident/7.0; rv:11.0) like Gecko": False,
    "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2)": False,
    "curl/8.5.0": False,
    "": False,
    "Chrome/" + "9" * 10_000: True,
    "x" * 100_000 + "Chrome/131": False,
}  # fmt: skip


@pytest.mark.parametrize(("agent", "modern"), AGENTS.items(), ids=range(len(AGENTS)))
def test_browsers_by_their_names(agent, modern):
    assert is_modern(agent) is modern
