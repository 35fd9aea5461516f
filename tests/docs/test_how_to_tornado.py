"""docs/how-to/tornado.md, followed literally; then its page in two windows of a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import Browser
from reader import Reader

PAGE = "how-to/tornado.md"


@pytest.mark.browser
async def test_the_page_leads_to_two_live_windows(tmp_path: Path) -> None:
    with Reader(tmp_path, stays={"python app.py": ""}) as reader:
        reader.read(PAGE)
        async with Browser(tmp_path / "browser") as browser:
            ada, bob = [await browser.window(f"{reader.url()}/") for _ in range(2)]
            await ada.run("document.querySelector('form').elements.name.value = 'ada'")
            await ada.load("document.querySelector('form').submit()")
            await ada.until("document.querySelector('li')?.textContent == 'tea (ada)'")
            assert await bob.run("document.querySelectorAll('li').length") == 0
            await bob.load("location.reload()")  # with the cookie that both windows have now
            await bob.until("document.querySelector('li')?.textContent == 'tea (ada)'")
            await bob.run("document.querySelector('#add').elements.text.value = 'milk'")
            await bob.run("document.querySelector('#add').requestSubmit()")
            await ada.until("document.querySelectorAll('li')[1]?.textContent == 'milk (ada)'")
            assert not ada.complaints
            assert not bob.complaints
        (app,) = reader.terminals
        assert app.end() == 0
