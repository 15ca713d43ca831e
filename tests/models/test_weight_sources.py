"""Where weights are: paths, URLs that a real server answers, names on the transformers hub."""

import hashlib
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from cdb_video.errors import CheckpointError
from cdb_video.models import Checkpoint, locate, read_state_dict


class Handler(BaseHTTPRequestHandler):
    """``/cut/...`` promises more bytes than it sends, ``/gone/...`` is not there."""

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path.startswith("/gone"):
            self.send_error(404)
            return
        self.send_response(200)
        body = self.server.body
        extra = 10 if self.path.startswith("/cut") else 0
        self.send_header("Content-Length", str(len(body) + extra))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()

    def log_message(self, *words):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    torch.save({"a": torch.arange(3.0)}, tmp_path / "served.pt")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.body = [], (tmp_path / "served.pt").read_bytes()
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def kept_files(tmp_path):
    return [path for path in (tmp_path / "torch home").rglob("*") if path.is_file()]


def test_a_url_is_downloaded_once_with_a_message(server, tmp_path, capsys):
    url = f"{server.url}/zoo/net.pth?download=true"
    path = locate(url)
    assert path.name == "net.pth"
    assert path.is_relative_to(tmp_path / "torch home" / "hub" / "checkpoints")
    assert read_state_dict(path)["a"].tolist() == [0, 1, 2]
    assert capsys.readouterr().err == f"downloading {url} to {path}\n"
    assert locate(url) == path
    assert server.asked == ["/zoo/net.pth?download=true"]
    assert capsys.readouterr().err == ""
    assert kept_files(tmp_path) == [path]


@pytest.mark.parametrize("how", ["fragment", "name"])
def test_contents_are_compared_with_what_the_url_promises(server, tmp_path, how):
    right = hashlib.sha256(server.body).hexdigest()
    for digest in (right[::-1], right):
        name = f"net-{digest[:8]}.pth" if how == "name" else f"net.pth#sha256={digest}"
        if digest == right:
            assert read_state_dict(locate(f"{server.url}/{name}"))["a"].tolist() == [0, 1, 2]
        else:
            with pytest.raises(CheckpointError, match="SHA-256 must begin with"):
                locate(f"{server.url}/{name}")
            assert kept_files(tmp_path) == []


def test_what_cannot_be_read_is_downloaded_anew(server, tmp_path):
    good, server.body = server.body, b"<html>busy</html>"
    with pytest.raises(CheckpointError, match="HTML"):
        Checkpoint.read(f"{server.url}/net.pth")
    assert kept_files(tmp_path) == []
    server.body = good
    assert Checkpoint.read(f"{server.url}/net.pth").tensors["a"].tolist() == [0, 1, 2]


def test_a_file_larger_than_the_disk_is_refused_before_it_comes(server, tmp_path, monkeypatch):
    monkeypatch.setattr("cdb_video.system.download.MAX_BYTES", len(server.body) - 1)
    with pytest.raises(CheckpointError, match=r"it is [\d,]+ bytes long, there is room for"):
        locate(f"{server.url}/net.pth")
    assert server.asked == []


def test_files_of_one_name_from_two_places_stay_apart(server):
    paths = [locate(f"{server.url}/{place}/model.safetensors") for place in ("one", "two")]
    assert paths[0] != paths[1]
    assert [path.name for path in paths] == ["model.safetensors"] * 2


@pytest.mark.parametrize(
    ("place", "reason"),
    [("cut", r".*IncompleteRead"), ("gone", "HTTP error 404")],
)
def test_a_failed_download_is_one_clear_line_and_leaves_nothing(server, tmp_path, place, reason):
    with pytest.raises(CheckpointError, match=rf"cannot download http.*{place}/net\.pth: {reason}"):
        locate(f"{server.url}/{place}/net.pth")
    assert kept_files(tmp_path) == []


def test_no_network_is_one_clear_line(server, tmp_path):
    server.shutdown()
    server.server_close()
    with pytest.raises(CheckpointError, match="where there is no network, give the path") as caught:
        locate(f"{server.url}/net.pth")
    assert "\n" not in str(caught.value)
    assert kept_files(tmp_path) == []


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://127.0.0.1", "http://127.0.0.1/a/.."])
def test_a_url_without_a_file_name_is_refused(url):
    with pytest.raises(CheckpointError, match="must end in its name"):
        locate(url)


def test_other_schemes_and_broken_urls_are_refused():
    with pytest.raises(CheckpointError, match=r"http://\[a/b\.pth is not a URL"):
        locate("http://[a/b.pth")
    with pytest.raises(CheckpointError, match="https:// or file:// URL.*got s3://a/b"):
        locate("s3://a/b.pth")


def test_a_file_url_is_the_file_itself(tmp_path):
    path = tmp_path / "with space.pt"
    assert locate(path.as_uri()) == path


def test_paths_are_taken_as_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "model").mkdir(parents=True)
    texts = ("owner/model", "output/missing.pth", "missing.pt", "/a/b/c", "a/b/c")
    assert [str(locate(text)) for text in texts] == list(texts)
    assert locate(Path("owner/missing")) == Path("owner/missing")


HUB = """
import sys
from cdb_video.errors import CheckpointError
from cdb_video.models import locate
for name in sys.argv[1:]:
    try:
        print(locate(name))
    except CheckpointError as error:
        print(error)
"""


def test_a_name_is_looked_up_on_the_hub(tmp_path):
    """In a process without a network, and with what huggingface_hub had downloaded before."""
    pytest.importorskip("huggingface_hub")
    snapshots = []
    for name, file in (("one", "model.safetensors"), ("other", "pytorch_model.bin")):
        cache = tmp_path / "hf" / "hub" / f"models--owner--{name}"
        snapshots.append(cache / "snapshots" / ("0" * 40))
        snapshots[-1].mkdir(parents=True)
        (cache / "refs").mkdir()
        (cache / "refs" / "main").write_text("0" * 40)
        (snapshots[-1] / "config.json").write_text("{}")
        (snapshots[-1] / file).write_bytes(b"")
    result = subprocess.run(
        [sys.executable, "-c", HUB, "owner/one", "owner/other", "owner/none"],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")},
        capture_output=True,
        text=True,
        check=True,
    )
    *found, error = result.stdout.splitlines()
    assert found == [str(snapshot) for snapshot in snapshots]
    assert error.startswith("owner/none: no such file or folder, and the transformers hub")


def test_a_name_without_the_extra_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(CheckpointError, match=r"pip install 'cdb_video\[transformers\]'"):
        locate("owner/model")
