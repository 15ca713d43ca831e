"""A backbone whose published weights use other names than it does."""

import re
from dataclasses import dataclass

import torch
from torch import nn

from cdb_video.models import build_model
from cdb_video.models.backbone import Backbone, InputFormat
from cdb_video.registry import BACKBONES


class StandIn(Backbone):
    """Two convolutions; elsewhere they are ``blocks.0.conv`` and ``blocks.1.conv``, and the head
    is ``blocks.2.proj``."""

    @dataclass(frozen=True)
    class Options:
        pass

    input_format = InputFormat(4, 32, (114.75, 114.75, 114.75), (57.375, 57.375, 57.375))

    def __init__(self, options):
        super().__init__()
        self.num_features = 6
        self.stem = nn.Conv3d(3, 4, 3, padding=1)
        self.body = nn.Conv3d(4, 6, 3, padding=1)

    @staticmethod
    def local_name(name):
        name = re.sub(r"^blocks\.0\.conv\.", "stem.", name)
        name = re.sub(r"^blocks\.1\.conv\.", "body.", name)
        return re.sub(r"^blocks\.2\.proj\.", "fc.", name)

    def forward(self, video):
        return self.body(self.stem(video).relu()).mean(dim=(2, 3, 4))


def stand_in(monkeypatch, num_classes, seed=0):
    """A classifier on ``StandIn``."""
    monkeypatch.setattr(BACKBONES, "get", lambda name: StandIn)
    torch.manual_seed(seed)
    return build_model("stand_in", num_classes)


def published_names(model):
    """The state dict of a ``StandIn`` classifier under its names elsewhere."""
    elsewhere = {"stem": "blocks.0.conv", "body": "blocks.1.conv", "fc": "blocks.2.proj"}
    return {
        f"{elsewhere[name.split('.')[0]]}.{name.split('.')[1]}": value
        for name, value in model.state_dict().items()
    }
