"""Downloads from a real HTTP server that breaks off, lies and refuses."""

import hashlib
import re
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from cdb_video.errors import DataError
from cdb_video.fetch.mirrors import Download, from_mirrors

DATA = np.random.default_rng(0).bytes(1_000_000)
NAME = "images.gz"


class Handler(BaseHTTPRequestHandler):
    """The first folder of the path says how the server behaves."""

    def do_GET(self):
        way = self.path.split("/")[1]
        self.server.requests[way] += 1
        if way == "missing":
            self.send_error(404)
            return
        data = {"wrong": b"x" * len(DATA), "page": b"<p>log in"}.get(way, DATA)
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        stops = {"cut": len(data) // 3, "mute": 0}
        self.wfile.write(data[: stops.get(way, len(data))])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests = Counter()
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def item(server):
    """A file that is asked for at the given addresses."""

    def make(*ways):
        urls = tuple(f"http://127.0.0.1:{server.server_port}/{way}/" for way in ways)
        return Download(NAME, hashlib.sha256(DATA).hexdigest(), urls)

    return make


def files(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_the_file_arrives_and_is_not_asked_for_again(server, item, tmp_path):
    path = from_mirrors(item("good"), tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / NAME
    assert path.read_bytes() == DATA
    from_mirrors(item("good"), path.parent)
    assert server.requests["good"] == 1
    assert files(path.parent) == [NAME]


def test_a_damaged_file_is_replaced(item, tmp_path):
    (tmp_path / NAME).write_bytes(DATA[:-1] + b"x")
    assert from_mirrors(item("good"), tmp_path).read_bytes() == DATA


@pytest.mark.parametrize("way", ["cut", "mute", "page", "wrong"])
def test_half_a_file_or_another_never_gets_the_name(way, item, tmp_path):
    with pytest.raises(DataError, match="images.gz cannot be downloaded"):
        from_mirrors(item(way), tmp_path)
    assert files(tmp_path) == []


def test_the_next_address_is_asked(server, item, tmp_path):
    assert from_mirrors(item("missing", "wrong", "mute", "good"), tmp_path).read_bytes() == DATA
    assert server.requests == {"missing": 1, "wrong": 1, "mute": 1, "good": 1}


def test_when_no_address_helps_the_error_names_each(item, tmp_path):
    dead = "http://127.0.0.1:1/"
    asked = item("missing", "page", "wrong", "mute")
    with pytest.raises(DataError) as error:
        from_mirrors(asked._replace(urls=(*asked.urls, dead)), tmp_path / "out")
    assert re.fullmatch(
        rf"{NAME} cannot be downloaded \(127.0.0.1:\d+: HTTP error 404 Not Found; "
        r"127.0.0.1:\d+: wrong checksum; 127.0.0.1:\d+: wrong checksum; "
        r"127.0.0.1:\d+: IncompleteRead.*; 127.0.0.1:1: \[Errno \d+\] Connection refused\)",
        str(error.value),
    )
    assert NAME not in files(tmp_path / "out")
