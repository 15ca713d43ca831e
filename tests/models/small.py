"""Options that make a network of each backbone small; without an entry its defaults are used."""

import pytest

NARROW = {"width": 8, "zero_init_final_bn": False}
SMALL_X3D = {"width_factor": 0.5, "depth_factor": 0.5, "zero_init_final_bn": False}

TRANSFORMER = {
    "num_frames": 4,
    "crop_size": 32,
    "hidden_size": 24,
    "num_layers": 2,
    "num_heads": 2,
}
SMALL = {
    "lenet": {},
    "resnet2d": {"depth": 10, "width": 8},
    "resnet3d": {"depth": 10, "width": 8},
    "resnet_cifar": {"depth": 8, "width": 8},
    "resnext3d": {"width": 16, "cardinality": 4, "stage_blocks": (1, 1, 1, 1)},
    "c2d_r50": NARROW,
    "csn_r101": NARROW,
    "i3d_r50": NARROW,
    "r2plus1d_r50": NARROW,
    "slow_r50": NARROW,
    "slowfast_r50": {**NARROW, "beta_inv": 4},
    "x3d_xs": SMALL_X3D,
    "x3d_s": SMALL_X3D,
    "x3d_m": SMALL_X3D,
    "x3d_l": SMALL_X3D,
    "mvit_b": {"num_frames": 4, "crop_size": 32, "embed_dim": 8},
    "videomae": TRANSFORMER,
    "timesformer": TRANSFORMER,
    "vivit": TRANSFORMER,
    "vjepa2": TRANSFORMER,
}

SMALL_VIDEOMAE = ["MODEL.NAME", "videomae", "DATA.NUM_FRAMES", "4", "DATA.CROP_SIZE", "32"]
SMALL_VIDEOMAE += [
    word
    for key, value in TRANSFORMER.items()
    for word in (f"MODEL.VIDEOMAE.{key}".upper(), str(value))
]
"""The small one, and clips of its size, in words of a command line."""

LARGE = ("c2d_r50", "csn_r101", "i3d_r50", "mvit_b", "r2plus1d_r50", "slow_r50", "slowfast_r50")
LARGE += ("x3d_l", "x3d_m")
"""Also as small as they get they take seconds for what others do in tenths."""


def marked_slow(names, slow=LARGE):
    """Parameters of a test: those of ``names`` that are in ``slow`` are marked so."""
    return [pytest.param(name, marks=pytest.mark.slow) if name in slow else name for name in names]
