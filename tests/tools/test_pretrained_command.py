"""Pretrained weights through the commands: from a path and from a URL, alone and under torchrun."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from cdb_video.models import Checkpoint, build_model

AUTO = ("DATA.MEAN", "auto", "DATA.STD", "auto", "SOLVER.MAX_EPOCH", 1, "SOLVER.BASE_LR", 1e-12)
TINY = {"stage_blocks": (1, 1, 1, 1), "width": 8, "cardinality": 2}


@pytest.fixture
def weights(tmp_path):
    """Weights with what PySlowFast says about their input."""
    path = tmp_path / "zoo" / "the net.pyth"
    path.parent.mkdir()
    cfg = "DATA:\n  MEAN: [0.45, 0.45, 0.45]\n  STD: [0.225, 0.225, 0.225]\n"
    state = build_model("resnext3d", 400, **TINY).state_dict()
    torch.save({"epoch": 1, "model_state": state, "cfg": cfg}, path)
    return path


def assert_started_from(path, folder, std=(57.375, 57.375, 57.375)):
    given, kept = (Checkpoint.read(one) for one in (path, folder / "checkpoints" / "latest.pt"))
    torch.testing.assert_close(kept.tensors["conv1.weight"], given.tensors["conv1.weight"])
    assert kept.normalisation == ((114.75, 114.75, 114.75), std)


@pytest.mark.slow
def test_from_a_path(tool, tiny_yaml, tmp_path, weights):
    result = tool("train_net.py", "--cfg", tiny_yaml, *AUTO, "MODEL.PRETRAINED", weights)
    assert result.returncode == 0, result.stderr
    assert f"{weights}: loaded " in result.stderr
    assert "100.0% of the backbone's parameters" in result.stderr
    assert "warning" not in result.stderr
    assert_started_from(weights, tmp_path / "out")


@pytest.mark.slow
def test_from_a_file_url_with_another_normalisation(tool, tiny_yaml, tmp_path, weights):
    words = (*AUTO, "MODEL.PRETRAINED", weights.as_uri(), "DATA.STD", "[60, 60, 60]")
    result = tool("train_net.py", "--cfg", tiny_yaml, *words)
    assert result.returncode == 0, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert "DATA.STD [60.0, 60.0, 60.0] is used" in line
    assert f"{weights} was trained with DATA.STD [57.375, 57.375, 57.375]" in line
    assert_started_from(weights, tmp_path / "out", (60, 60, 60))


@pytest.mark.slow
def test_processes_share_one_download(tool, tiny_yaml, tmp_path, weights, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, *words):
            asked.append(f"{self.command} {self.path}")

    serve = partial(Handler, directory=weights.parent)
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/the%20net.pyth"
        words = ("--cfg", tiny_yaml, *AUTO, "MODEL.PRETRAINED", url)
        launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
        result = tool("train_net.py", *words, launcher=launcher)
        server.shutdown()
    assert result.returncode == 0, result.stderr
    assert asked.count("GET /the%20net.pyth") == 1
    assert f"downloading {url} to " in result.stderr
    assert_started_from(weights, tmp_path / "out")


def test_weights_that_are_not_there_are_one_line(tool, tiny_yaml, tmp_path):
    result = tool("train_net.py", "--cfg", tiny_yaml, "MODEL.PRETRAINED", "output/none.pth")
    assert result.returncode == 2
    assert result.stderr == "error: output/none.pth: no such file\n"
    assert not (tmp_path / "out").exists()
