"""Options that make a network of each backbone small; without an entry its defaults are used."""

from cdb_video.registry import BACKBONES

TRANSFORMER = {
    "num_frames": 4,
    "crop_size": 32,
    "hidden_size": 24,
    "num_layers": 2,
    "num_heads": 2,
}
SMALL = {
    "resnext3d": {"width": 16, "cardinality": 4, "stage_blocks": (1, 1, 1, 1)},
    "videomae": TRANSFORMER,
    "timesformer": TRANSFORMER,
    "vivit": TRANSFORMER,
    "vjepa2": TRANSFORMER,
}


def clip_shape(name):
    """(T, H, W) of a clip for the small network."""
    kind = BACKBONES.get(name)
    if not getattr(kind, "fixed_input", False):
        return 8, 32, 32
    clip = kind(kind.Options(**SMALL.get(name, {}))).input_format
    return clip.num_frames, clip.size, clip.size
