import torch

from cdb_video.engine.prepare.data import make_loading


def test_the_options_of_workers_reach_them(configured, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    words = ("DATA_LOADER.PIN_MEMORY", "false", "DATA_LOADER.CLIP_MEMORY_MB", 3)
    share = make_loading(configured("out", *words), 1, torch.device("cpu")).share
    assert (share.pin_memory, share.clip_memory) == (False, 3 * 1024 * 1024)
    assert make_loading(configured(), 1, torch.device("cpu")).share.pin_memory
