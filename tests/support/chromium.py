"""Browser windows for scripts that have nothing but Python: headless Chromium, told by a pipe.

Things are found as people find them: by the label of a field, the text of a button. What is clicked
and typed comes to the page as if by mouse and keyboard.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import queue
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Self

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
PATIENCE = 30.0  # seconds that anything may take

# What a page is asked with. `beside` narrows the search to the row that has this text.
_FIND = """
window.find = (kind, name, beside) => {
  const said = (element) => element.textContent.trim().replace(/\\s+/g, " ");
  let places = [document];
  if (beside) places = [...document.querySelectorAll("li, tr")].filter((row) => said(row).includes(beside));
  for (const place of places) {
    if (kind === "field") {
      const label = [...place.querySelectorAll("label")].find((each) => said(each) === name);
      if (label) return label.control;
      for (const field of place.querySelectorAll("input, textarea, select")) {
        if ([field.placeholder, field.ariaLabel].includes(name)) return field;
      }
    } else {
      for (const each of place.querySelectorAll("button, a, label, input[type=submit], input[type=checkbox]")) {
        const names = [said(each), each.type === "submit" && each.value, each.ariaLabel];
        if (names.includes(name)) return each;
      }
    }
  }
};
window.shown = (text, beside) => {
  const rows = beside ? [...document.querySelectorAll("li, tr")].map((row) => row.innerText) : [document.body.innerText];
  return rows.some((row) => row.includes(text) && (!beside || row.includes(beside)));
};
"""


class Trouble(Exception):
    """A page has failed, or does not show what it should."""


class Browser:
    """A headless Chromium; a context manager that starts and ends it."""

    def __init__(self, profile: Path) -> None:
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        options = [
            "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu",
            "--disable-dev-shm-usage", "--disable-background-networking", "--disable-sync",
            "--disable-component-update", "--no-first-run", "--hide-scrollbars",
            "--ignore-certificate-errors",  # a person clicks the warning away
            f"--user-data-dir={profile}",
        ]  # fmt: skip
        # Chromium reads commands from descriptor 3 and answers on 4.
        self._process = subprocess.Popen(
            ["sh", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "sh", CHROMIUM, *options],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._numbers = itertools.count(1)
        self._answers: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self.troubles: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        os.close(self._out)
        os.close(self._in)

    def window(self, width: int, height: int, scale: float = 1) -> Window:
        """A new window, with cookies of its own, as a private window has them."""
        context = self.command("Target.createBrowserContext")["browserContextId"]
        target = self.command("Target.createTarget", url="about:blank", browserContextId=context)
        attached = self.command("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        return Window(self, attached["sessionId"], width, height, scale)

    def command(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Have a command of the DevTools protocol done; its result."""
        number = next(self._numbers)
        answer = self._answers[number] = queue.SimpleQueue()
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        try:
            found = answer.get(timeout=PATIENCE)
        except queue.Empty:
            raise Trouble(f"Chromium does not answer {method}") from None
        if "error" in found:
            raise Trouble(f"{method}: {found['error']['message']}")
        return found["result"]

    def _read(self) -> None:
        rest = b""
        while data := os.read(self._in, 1 << 20):
            *messages, rest = (rest + data).split(b"\0")
            for text in messages:
                message = json.loads(text)
                if "id" in message:
                    self._answers.pop(message["id"]).put(message)
                elif message["method"] == "Runtime.exceptionThrown":
                    details = message["params"]["exceptionDetails"]
                    thrown = details.get("exception", {}).get("description", details["text"])
                    self.troubles.append(thrown)


class Window:
    """One window of a browser; made by `Browser.window`."""

    def __init__(
        self, browser: Browser, session: str, width: int, height: int, scale: float
    ) -> None:
        self._browser, self._session = browser, session
        self._do(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=scale, mobile=False,
        )  # fmt: skip
        self._do("Page.enable")
        self._do("Runtime.enable")
        self._do("Page.addScriptToEvaluateOnNewDocument", source=_FIND)

    def open(self, url: str) -> None:
        """Type an address; again, if nobody answers there yet."""
        deadline = time.monotonic() + PATIENCE
        while True:
            # What is there before answers for a while, and is complete as well.
            self._until("window.left = true", "the page before does not answer")
            failed = self._do("Page.navigate", url=url).get("errorText")
            if not failed:
                break
            if time.monotonic() > deadline:
                raise Trouble(f"{url}: {failed}")
            time.sleep(0.05)
        self._until("!window.left && document.readyState === 'complete'", f"{url} does not load")

    def type(self, text: str, field: str) -> None:
        """Write into the field with this label, or with this text in it, instead of what is there."""
        found = f"find('field', {json.dumps(field)})"
        self._until(f"{found} && ({found}.focus(), {found}.select?.(), true)", f"no field {field}")
        self._do("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press a key; Enter is the only one that we need."""
        for kind in ("keyDown", "keyUp"):
            self._do(
                "Input.dispatchKeyEvent",
                type=kind, key=key, code=key, windowsVirtualKeyCode=13, text="\r",
            )  # fmt: skip

    def click(self, name: str, beside: str | None = None) -> None:
        """Click what has this name: a button, a link, a box to tick."""
        found = f"find('button', {json.dumps(name)}, {json.dumps(beside)})"
        self._until(f"!!{found}", f"nothing to click is called {name!r}")
        place = self._ask(
            f"(({{x, y, width, height}}) => ({{x: x + width / 2, y: y + height / 2}}))"
            f"(({found}.scrollIntoViewIfNeeded(), {found}).getBoundingClientRect())"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._do("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def see(self, text: str, beside: str | None = None, *, gone: bool = False) -> None:
        """Wait until the page shows a text, or no longer shows it."""
        asked = f"shown({json.dumps(text)}, {json.dumps(beside)})"
        what = f"{'still shows' if gone else 'does not show'} {text!r}"
        self._until(f"!{asked}" if gone else asked, what)

    def where(self) -> str:
        """The address, as its bar shows it."""
        return str(self._ask("location.host + location.pathname"))

    def show(self, html: str) -> None:
        """Show a text of HTML."""
        frame = self._do("Page.getFrameTree")["frameTree"]["frame"]["id"]
        self._do("Page.setDocumentContent", frameId=frame, html=html)
        self._until("[...document.images].every((each) => each.complete)", "pictures do not load")

    def picture(self) -> bytes:
        """What it looks like now, as a PNG."""
        shot = self._do("Page.captureScreenshot", format="png")["data"]
        return base64.b64decode(shot)

    def _until(self, expression: str, otherwise: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if self._ask(expression):
                    return
            except Trouble:  # between two pages
                pass
            if self._browser.troubles:
                raise Trouble("\n".join(self._browser.troubles))
            if time.monotonic() > deadline:
                text = self._ask("location.href + '\\n' + document.body.innerText")
                raise Trouble(f"{otherwise}; the page is\n{text}")
            time.sleep(0.05)

    def _ask(self, expression: str) -> Any:
        answer = self._do("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise Trouble(answer["exceptionDetails"]["exception"].get("description", "?"))
        return answer["result"].get("value")

    def _do(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.command(method, self._session, **params)
