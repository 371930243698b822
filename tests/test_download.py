"""The archive from servers that help, hinder, stall, lie or aren't there; all of them on this machine."""

import io
import socket
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from unittest.mock import Mock
from urllib.parse import quote, unquote

import pytest
from test_data import check, names, python

from course_utils import data
from course_utils.data import DataError
from course_utils.plumbing import cache, download, synthetic
from course_utils.plumbing.cache import CACHE

PART = "cifar-10-python.tar.gz.part"


class Mirror(BaseHTTPRequestHandler):
    """Serves the archive in the manner that the path names; "whole" is as it should be."""

    def do_GET(self):
        server, manner, asked = self.server, unquote(self.path.strip("/")), self.headers["Range"]
        server.asked.append((manner, asked))
        if manner == "silent":
            return server.over.wait()
        if manner == "absent":
            return self.send_error(404)
        if manner.startswith("http:"):  # taken for a proxy
            return self.send_error(407)
        body = {"wrong": bytes(len(server.archive))} | dict.fromkeys(("page", "chunked page"), b"Please log in")
        body = body.get(manner, server.archive)
        ranges = manner not in ("page", "chunked page", "rangeless", "dead end")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if ranges else 0
        self.send_response(206 if ranges else 200)
        if manner.endswith("page"):
            self.send_header("Content-Type", "text/html; charset=utf-8")
        if manner != "chunked page":
            self.send_header("Content-Length", str(len(body) - start))
        if ranges:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        partly = manner in ("cut", "dead end", "stalling", "throttled")
        end = start + len(body) // 3 if partly else len(body)
        self.wfile.write(body[start:end])
        server.sent += len(body[start:end])
        if manner == "stalling":
            server.over.wait()
        while manner == "throttled" and not server.over.wait(0.02):
            self.wfile.write(body[end : end + 1])
            end += 1

    def handle(self):
        with suppress(ConnectionError):  # the client may hang up on a bad server
            super().handle()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(fake, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        server.archive, server.asked, server.sent, server.over = fake, [], 0, threading.Event()
        server.urls = lambda *manners: [f"http://127.0.0.1:{server.server_port}/{quote(m)}" for m in manners]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


@pytest.fixture
def nobody() -> str:
    """An address at which nothing listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/archive"


def test_the_archive_is_fetched_cached_and_removed(server, tmp_path, capsys):
    check(data.load("cifar10", tmp_path / "new" / "folder", server.urls("whole")))
    assert names(tmp_path / "new" / "folder") == {CACHE}
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and "\r" not in errors  # one line where stderr is no terminal


def test_an_invalid_address_is_a_bad_mirror_like_any_other(server, tmp_path):
    check(data.load("cifar10", tmp_path, ["http://[", "http://a b/", *server.urls("whole")]))


def test_mirrors_come_from_the_environment(server, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_MIRRORS", " ".join(server.urls("absent", "whole")))
    check(data.load("auto", tmp_path))
    assert {manner for manner, _ in server.asked} == {"absent", "whole"}


def test_a_partial_download_is_resumed(server, tmp_path):
    (tmp_path / PART).write_bytes(server.archive[:100_000])
    check(data.load("cifar10", tmp_path, server.urls("whole")))
    assert server.asked == [("whole", "bytes=100000-")]
    assert server.sent == len(server.archive) - 100_000


def test_a_server_without_ranges_resumes_too(server, tmp_path):
    (tmp_path / PART).write_bytes(server.archive[:1_000_001])
    check(data.load("cifar10", tmp_path, server.urls("rangeless")))


def test_a_whole_partial_needs_no_mirror(server, tmp_path, nobody):
    (tmp_path / PART).write_bytes(server.archive)
    check(data.load("auto", tmp_path, [nobody]))
    assert names(tmp_path) == {CACHE}


@pytest.mark.parametrize("manner", ["absent", "page", "silent", "stalling", "throttled", "cut", "wrong"])
def test_a_bad_mirror_gives_way_to_the_next(server, tmp_path, nobody, manner, monkeypatch):
    if manner in ("silent", "stalling"):
        monkeypatch.setattr(download, "STALL", 2)
    if manner == "throttled":
        monkeypatch.setattr(download, "TURN", 0.5)
    check(data.load("cifar10", tmp_path, [nobody, *server.urls(manner, "whole")]))
    assert [asked for asked, _ in server.asked][:2] == [manner, "whole"]
    resumed_at = 0 if manner in ("absent", "page", "silent", "wrong") else len(server.archive) // 3
    assert int(server.asked[1][1].removeprefix("bytes=").removesuffix("-")) >= resumed_at
    assert names(tmp_path) == {CACHE}


def test_rounds_go_on_as_long_as_they_bring_something(server, tmp_path, nobody):
    check(data.load("cifar10", tmp_path, [nobody, *server.urls("cut")]))
    assert len(server.asked) >= 3


def test_what_came_is_kept_when_all_mirrors_fail(server, tmp_path, nobody):
    with pytest.raises(DataError, match="dead%20end ended at byte .*COURSE_MIRRORS"):
        data.load("cifar10", tmp_path, server.urls("dead end"))
    assert (tmp_path / PART).read_bytes() == server.archive[: len(server.archive) // 3]
    with pytest.raises(DataError, match="Connection refused"):
        data.load("cifar10", tmp_path, [nobody])
    assert names(tmp_path) == {PART}


def test_wrong_bytes_are_refused_and_thrown_away(server, tmp_path):
    with pytest.raises(DataError, match=f"not {download.MD5}"):
        data.load("cifar10", tmp_path, server.urls("wrong"))
    assert names(tmp_path) == set()


@pytest.mark.parametrize("size", [1000, 10**7])
def test_wrong_bytes_of_an_earlier_run_are_not_held_against_a_good_mirror(server, tmp_path, size):
    (tmp_path / PART).write_bytes(bytes(size))
    check(data.load("cifar10", tmp_path, server.urls("whole")))


def test_the_bar_is_redrawn_on_a_terminal(server, tmp_path, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    data.load("cifar10", tmp_path, server.urls("whole"))
    first, *drawn = terminal.getvalue().split("\r")
    assert "Fetching CIFAR-10" in first and "100%" in drawn[-1] and drawn[-1].endswith("\n")


LOAD = "print(data.load('cifar10', sys.argv[1], sys.argv[2:]).train.images.sum())"


def test_a_killed_download_is_resumed(server, tmp_path):
    process = python(LOAD, tmp_path, *server.urls("stalling"))
    while not (tmp_path / PART).exists() or (tmp_path / PART).stat().st_size < len(server.archive) // 3:
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.communicate()
    check(data.load("cifar10", tmp_path, server.urls("whole")))
    assert server.asked[-1] == ("whole", f"bytes={len(server.archive) // 3}-")


def test_processes_that_download_at_once_share_one_download(server, tmp_path):
    processes = [python(LOAD, tmp_path, *server.urls("whole")) for _ in range(3)]
    assert len({process.communicate()[0] for process in processes} - {""}) == 1
    assert [process.returncode for process in processes] == [0] * 3
    assert server.asked == [("whole", "bytes=0-")] and names(tmp_path) == {CACHE}


def test_a_disk_that_fills_up_is_a_clear_error_and_what_came_is_kept(server, tmp_path):
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))\n" + LOAD
    _, errors = python(code, tmp_path, *server.urls("whole")).communicate()
    assert "DataError: can't prepare CIFAR-10" in errors and "File too large" in errors
    assert (tmp_path / PART).read_bytes() == server.archive[: 10**6] and names(tmp_path) == {PART}


def test_a_disk_without_room_is_not_begun(server, tmp_path, monkeypatch):
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**6))
    with pytest.raises(DataError, match="No space left on device"):
        data.load("cifar10", tmp_path, server.urls("whole"))
    assert server.asked == [] and names(tmp_path) == set()


@pytest.fixture
def small_stand_in(monkeypatch):
    draw = synthetic.draw
    monkeypatch.setattr(synthetic, "draw", lambda *_: draw(0, 100, 20))


@pytest.mark.parametrize(("manner", "cause"), [
    ("absent", "HTTP Error 404"), ("page", "log in"), ("chunked page", "log in"), ("silent", "no answer|timed out"),
    ("refused", "Connection refused"), ("lookup hangs", "no answer within 0.5 s"), ("no such name", "Name or service"),
    ("proxy", "HTTP Error 407"), ("not TLS", "SSL: "),
])
def test_auto_falls_back_to_a_loud_stand_in(server, tmp_path, nobody, small_stand_in, monkeypatch, manner, cause):
    if manner in ("silent", "lookup hangs"):
        monkeypatch.setattr(download, "PROBE", 0.5)
    if manner == "lookup hangs":
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: server.over.wait() and [])
    if manner == "no such name":
        monkeypatch.setattr(socket, "getaddrinfo", Mock(side_effect=socket.gaierror(-2, "Name or service not known")))
    if manner == "proxy":
        monkeypatch.setenv("http_proxy", server.urls("")[0])
    mirrors = {"refused": [nobody], "proxy": ["http://mirror.invalid/archive"]}.get(manner, server.urls(manner))
    if manner == "not TLS":
        mirrors = [mirror.replace("http:", "https:") for mirror in mirrors]
    with pytest.warns(UserWarning, match=f"SYNTHETIC.*({cause}).*COURSE_MIRRORS"):
        dataset = data.load("auto", tmp_path / "new", mirrors)
    assert dataset.name == "SYNTHETIC" and dataset.classes == synthetic.CLASSES
    assert not (tmp_path / "new").exists()


def test_a_mirror_that_says_nothing_is_waited_for_no_longer_than_promised(server, monkeypatch):
    assert download.PROBE <= 5  # of the ten seconds in which the stand-in must be there
    monkeypatch.setattr(download, "PROBE", 0.5)
    with pytest.raises(download.DownloadError, match=r"gave no answer within 0\.5 s|timed out"):
        download.reachable(server.urls("silent"))


def test_one_good_mirror_among_silent_ones_is_enough(server, tmp_path, nobody, monkeypatch):
    monkeypatch.setattr(download, "PROBE", 3)
    check(data.load("auto", tmp_path, [nobody, *server.urls("silent", "whole")]))
    assert [manner for manner, _ in server.asked].count("silent") == 1  # it isn't asked again
