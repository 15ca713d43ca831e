"""Downloads from a real HTTP server that breaks off, lies, refuses and serves ranges."""

import hashlib
import re
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from cdb_video.errors import DataError
from cdb_video.fetch.download import TRIES, Download, download

DATA = np.random.default_rng(0).bytes(1_000_000)
NAME = "images.gz"


class Handler(BaseHTTPRequestHandler):
    """The first folder of the path says how the server behaves."""

    def do_GET(self):
        way = self.path.split("/")[1]
        requests = self.server.requests
        requests[way].append(self.headers.get("Range"))
        if way == "missing":
            self.send_error(404)
            return
        data = {"wrong": b"x" * len(DATA), "page": b"<p>log in"}.get(way, DATA)
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(asked[1]) if asked and way not in ("no-range", "page") else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        stops = {"cut": len(data) // 3 * len(requests[way]), "drip": start + 1000, "mute": 0}
        self.wfile.write(data[start : stops.get(way, len(data))])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests = defaultdict(list)
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
        return Download(NAME, len(DATA), hashlib.sha256(DATA).hexdigest(), urls)

    return make


def files(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_the_file_arrives_and_is_not_asked_for_again(server, item, tmp_path):
    path = download(item("good"), tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / NAME
    assert path.read_bytes() == DATA
    download(item("good"), path.parent)
    assert len(server.requests["good"]) == 1
    assert files(path.parent) == [NAME]


def test_a_damaged_file_is_replaced(item, tmp_path):
    (tmp_path / NAME).write_bytes(DATA[:-1] + b"x")
    assert download(item("good"), tmp_path).read_bytes() == DATA


def test_a_broken_connection_goes_on_where_it_stopped(server, item, tmp_path):
    assert download(item("cut"), tmp_path).read_bytes() == DATA
    third = len(DATA) // 3
    assert server.requests["cut"] == [
        None,
        *(f"bytes={third * number}-" for number in range(1, len(server.requests["cut"]))),
    ]
    assert len(server.requests["cut"]) == 4


def test_an_interrupted_run_goes_on_in_the_next_one(server, item, tmp_path):
    with pytest.raises(DataError, match=f"broke off after {1000 * TRIES} of {len(DATA)} bytes"):
        download(item("drip"), tmp_path)
    assert files(tmp_path) == [f"{NAME}.partial"]
    assert download(item("good"), tmp_path).read_bytes() == DATA
    assert server.requests["good"] == [f"bytes={1000 * TRIES}-"]
    assert files(tmp_path) == [NAME]


@pytest.mark.parametrize("partial", [DATA[:5000], DATA, b"y" * 5000, b"y" * len(DATA)])
@pytest.mark.parametrize("way", ["good", "no-range"])
def test_whatever_is_left_of_an_earlier_run_the_file_is_right(way, partial, item, tmp_path):
    (tmp_path / f"{NAME}.partial").write_bytes(partial)
    assert download(item(way), tmp_path).read_bytes() == DATA
    assert files(tmp_path) == [NAME]


def test_the_next_address_is_asked(server, item, tmp_path):
    assert download(item("missing", "wrong", "mute", "good"), tmp_path).read_bytes() == DATA
    assert {way: len(asked) for way, asked in server.requests.items()} == {
        "missing": 1,
        "wrong": 1,
        "mute": 1,
        "good": 1,
    }


def test_a_page_in_its_place_does_not_cost_what_has_come(server, item, tmp_path):
    (tmp_path / f"{NAME}.partial").write_bytes(DATA[:5000])
    assert download(item("page", "good"), tmp_path).read_bytes() == DATA
    assert server.requests["good"] == ["bytes=5000-"]


def test_when_no_address_helps_the_error_names_each(item, tmp_path):
    dead = "http://127.0.0.1:1/"
    asked = item("missing", "page", "wrong", "mute")
    with pytest.raises(DataError) as error:
        download(asked._replace(urls=(*asked.urls, dead)), tmp_path / "out")
    assert re.fullmatch(
        rf"{NAME} cannot be downloaded \(127.0.0.1:\d+: HTTP Error 404: Not Found; "
        r"127.0.0.1:\d+: 9 bytes are offered instead of 1000000; "
        r"127.0.0.1:\d+: wrong checksum; "
        r"127.0.0.1:\d+: the connection broke off after 0 of 1000000 bytes; "
        r"127.0.0.1:1: \[Errno \d+\] Connection refused\)",
        str(error.value),
    )
    assert NAME not in files(tmp_path / "out")
