"""The page in a real browser: no error, no request, nothing wider than the window, no labels that meet; light, dark, wide, narrow."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from privacy_audit.report.html import render, render_summary
from tests.report.devtools import Browser
from tests.report.example_reports import by_verdict, edges, report

PAGES = {**by_verdict(), **edges()}
PAPER = {False: "rgb(250, 249, 246)", True: "rgb(21, 23, 27)"}


def page_file(folder: Path, text: str) -> Path:
    path = folder / "page.html"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_is_quiet_and_fits(browser: Browser, tmp_path: Path, width: int, dark: bool) -> None:
    seen = browser.visit(page_file(tmp_path, render(report())), width=width, dark=dark)
    assert (seen.complaints, seen.requests, seen.overflow, seen.meeting_labels) == ([], [], [], [])
    assert seen.background == PAPER[dark]


@pytest.mark.parametrize(("width", "dark"), [(320, False), (870, True), (1280, False)])
@pytest.mark.parametrize("name", PAGES)
def test_every_report_fits(browser: Browser, tmp_path: Path, name: str, width: int, dark: bool) -> None:
    seen = browser.visit(page_file(tmp_path, render(PAGES[name])), width=width, dark=dark)
    assert (seen.complaints, seen.requests, seen.overflow, seen.meeting_labels) == ([], [], [], [])


def test_a_summary_fits_in_a_notebook(browser: Browser, tmp_path: Path) -> None:
    text = "<!doctype html><meta charset=utf-8><body>" + render_summary(report()) + render_summary(edges()["hostile"])
    seen = browser.visit(page_file(tmp_path, text), width=700)
    assert (seen.complaints, seen.requests, seen.overflow, seen.meeting_labels) == ([], [], [], [])


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_the_checks_can_fail(browser: Browser, tmp_path: Path, closed_port: int) -> None:
    def seen(body: str):
        return browser.visit(page_file(tmp_path, f"<!doctype html><meta charset=utf-8><body>{body}"), width=400)

    assert seen("<p>calm</p>").requests == []
    address = f"http://127.0.0.1:{closed_port}/x.png"
    assert seen(f"<img src={address}>").requests == [address]
    assert seen(f"<style>p {{ background: url({address}) }}</style><p>x</p>").requests == [address]
    assert seen("<script>console.error('no')</script>").complaints == ["console: error"]
    assert seen("<script>undefined_name()</script>").complaints
    assert seen("<div style='width: 500px'>wide</div>").overflow
    assert seen("<p>" + "W" * 300).overflow
    text = "<text x=0 y=20>one label</text><text x=30 y=22>another</text>"
    assert seen(f"<svg role=img width=200 height=50>{text}</svg>").meeting_labels
    assert seen("<svg role=img width=60 height=50><text x=20 y=20>leaves on the right</text></svg>").meeting_labels


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """A server on this machine that notes what it is asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()
        thread.join()


def test_the_policy_of_the_page_stops_what_escaping_would_have_missed(
    browser: Browser, tmp_path: Path, server: tuple[str, list[str]]
) -> None:
    address, asked = server
    attack = f"<img src={address}/x.png><script>document.body.remove()</script>"
    browser.visit(page_file(tmp_path, f"<!doctype html><meta charset=utf-8><body><img src={address}/x.png>"), width=1280)
    assert asked == ["/x.png"]  # without the policy the picture is fetched
    seen = browser.visit(page_file(tmp_path, render(report()).replace("</main>", f"{attack}</main>")), width=1280)
    assert asked == ["/x.png"]
    assert len(seen.complaints) == 2
    assert seen.background == PAPER[False]  # the script did not run
