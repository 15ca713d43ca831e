"""``cdb-video get-data`` as users type it."""


def test_a_mistake_or_a_missing_network_is_one_line(tool, tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    result = tool("get-data", "cifar100")
    assert result.returncode == 2
    (line,) = [line for line in result.stderr.splitlines() if line.strip()]
    assert line.startswith("error: cifar-100-binary.tar.gz cannot be downloaded (www.cs.toronto.")
    assert line.endswith("another way: --from PATH")
    assert result.stdout == ""
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    unknown = tool("get-data", "imagenet")
    assert unknown.returncode == 2
    assert "invalid choice: 'imagenet'" in unknown.stderr


def test_explanations_go_to_stdout_and_refusals_to_stderr(tool, tmp_path):
    explained = tool("get-data", "egtea")
    assert explained.returncode == 0
    assert "https://" in explained.stdout
    refused = tool("get-data", "mnist", "--from", tmp_path, "--out", tmp_path / "out")
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"error: {tmp_path} does not hold the data set: ")
