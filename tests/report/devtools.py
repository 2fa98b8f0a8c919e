"""A browser for tests: headless Chromium, driven through the DevTools protocol over two pipes, with the standard library alone.

What a page did is recorded as it loads: requests, console messages, exceptions. What it looks like is asked of it afterwards.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
# Chromium reads commands from descriptor 3 and writes answers to 4; this small program puts our pipes there and becomes the browser.
LAUNCH = "import os, sys; r, w = map(int, sys.argv[1:3]); os.dup2(r, 3); os.dup2(w, 4); os.execvp(sys.argv[3], sys.argv[3:])"
PATIENCE = 60.0

OVERFLOWING = """(() => {
  const wide = window.innerWidth + 1, found = [];
  const clipped = e => {
    for (let p = e.parentElement; p; p = p.parentElement)
      if (getComputedStyle(p).overflowX !== 'visible') return true;
    return false;
  };
  for (const e of document.body.querySelectorAll('*')) {
    const box = e.getBoundingClientRect();
    if (box.width && (box.right > wide || box.left < -1) && !clipped(e)) found.push(e.tagName + '.' + e.getAttribute('class'));
  }
  return [document.documentElement.scrollWidth, window.innerWidth, found];
})()"""

MEETING_LABELS = """(() => {
  const found = [];
  const across = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const down = (a, b) => Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  for (const svg of document.querySelectorAll('svg[role=img]')) {
    const frame = svg.getBoundingClientRect();
    if (!frame.width) continue;
    const texts = [...svg.querySelectorAll('text')].filter(t => t.textContent);
    const boxes = texts.map(t => [t.textContent, t.getBoundingClientRect()]);
    boxes.forEach(([text, a], i) => {
      if (across(a, frame) < a.width - 1 || down(a, frame) < a.height - 1) found.push(text + ' leaves its picture');
      for (const [other, b] of boxes.slice(i + 1))
        if (across(a, b) > 1 && down(a, b) > 3) found.push(text + ' meets ' + other);
    });
  }
  return found;
})()"""


@dataclass(frozen=True)
class Visit:
    """What one page did and how it came out."""

    requests: list[str]
    complaints: list[str]
    overflow: list[str]
    meeting_labels: list[str]
    background: str
    picture: bytes


def find_browser() -> str | None:
    """Return the path of a Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One running Chromium."""

    def __init__(self, process: subprocess.Popen[bytes], commands: int, answers: int) -> None:
        self._process, self._commands, self._answers = process, commands, answers
        self._next, self._buffer = 0, b""
        self._events: list[dict[str, Any]] = []

    def visit(self, page: Path, *, width: int, dark: bool = False, height: int = 900, full: bool = False) -> Visit:
        """Load a page at a width and in a color scheme, and say what happened."""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self._call(f"{domain}.enable", session)
        self._call("Emulation.setDeviceMetricsOverride", session, width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", session, features=[scheme])
        self._events.clear()
        address = page.resolve().as_uri()
        self._call("Page.navigate", session, url=address)
        self._wait_for("Page.loadEventFired", session)
        self._ask(session, "new Promise(done => requestAnimationFrame(() => setTimeout(() => done(0), 50)))")
        scroll, inner, outside = self._ask(session, OVERFLOWING)
        overflow = [*outside, *([f"page is {scroll} pixels wide in a window of {inner}"] if scroll > inner else [])]
        labels = self._ask(session, MEETING_LABELS)
        background = self._ask(session, "getComputedStyle(document.body).backgroundColor")
        picture = self._call("Page.captureScreenshot", session, captureBeyondViewport=full)["data"] if full else ""
        events = [event for event in self._events if event.get("sessionId") == session]
        self._call("Target.closeTarget", targetId=target)
        return Visit(_requests(events, address), _complaints(events), overflow, labels, background, picture.encode())

    def close(self) -> None:
        """End the browser."""
        try:
            self._call("Browser.close")
        except (OSError, RuntimeError, TimeoutError):
            self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def _ask(self, session: str, expression: str) -> Any:
        answer = self._call("Runtime.evaluate", session, expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"the page could not be asked: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def _call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        self._next += 1
        number = self._next
        message = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._commands, data) :]
        while True:
            answer = self._read()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._events.append(answer)

    def _wait_for(self, method: str, session: str) -> None:
        while not any(event.get("method") == method and event.get("sessionId") == session for event in self._events):
            self._events.append(self._read())

    def _read(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(self._answers, 1 << 16) if ready else None
            if chunk is None:
                raise TimeoutError(f"the browser did not answer within {PATIENCE:g} seconds")
            if not chunk:
                raise RuntimeError("the browser ended")
            self._buffer += chunk
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)


@contextmanager
def running_browser(path: str) -> Iterator[Browser]:
    """Start a Chromium with a fresh profile and end it afterwards."""
    with tempfile.TemporaryDirectory(prefix="profile-", ignore_cleanup_errors=True) as profile:
        (theirs_in, ours_out), (ours_in, theirs_out) = (tuple(map(_high, os.pipe())) for _ in range(2))
        command = [sys.executable, "-c", LAUNCH, str(theirs_in), str(theirs_out), path, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(
            command, pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(theirs_in)
        os.close(theirs_out)
        browser = Browser(process, ours_out, ours_in)
        try:
            yield browser
        finally:
            browser.close()


def _high(descriptor: int) -> int:
    """Move a descriptor out of the way of 3 and 4."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 20)
    os.close(descriptor)
    return moved


def _requests(events: list[dict[str, Any]], address: str) -> list[str]:
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return [url for url in asked if url != address and not url.startswith("data:")]


def _complaints(events: list[dict[str, Any]]) -> list[str]:
    said = []
    for event in events:
        params = event["params"]
        if event["method"] == "Runtime.exceptionThrown":
            said.append(params["exceptionDetails"]["text"])
        elif event["method"] == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            said.append(f"console: {params['type']}")
        elif event["method"] == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            said.append(params["entry"]["text"])
    return said
