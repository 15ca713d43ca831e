"""Images in memory under torchrun."""

import json
from pathlib import Path

import pytest

LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")


@pytest.mark.slow
def test_two_processes_agree_with_one_on_images(tool, tiny_yaml, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=":")
    words = ("--cfg", tiny_yaml, "IMPORTS", "[in_memory]", "DATA.NAME", "in_memory")
    words += ("DATA.CROP_SIZE", 12, "AUG.PAD", 2, "SOLVER.MAX_EPOCH", 2, "SOLVER.STEPS", "[0, 1]")
    trained = tool("train_net.py", *words, launcher=LAUNCHER)
    assert trained.returncode == 0, trained.stderr
    records = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").open()]
    assert [r["num_samples"] for r in records if r["kind"] == "val"] == [7, 7]
    checkpoint = tmp_path / "out" / "checkpoints" / "best.pt"
    metrics = []
    for name, launcher in (("one", ()), ("two", LAUNCHER)):
        own = ("OUTPUT_DIR", name, "TEST.CHECKPOINT_FILE_PATH", checkpoint)
        tested = tool("test_net.py", *words, *own, launcher=launcher)
        assert tested.returncode == 0, tested.stderr
        metrics.append(json.loads((tmp_path / name / "test" / "metrics.json").read_text()))
    assert metrics[0] == metrics[1]
