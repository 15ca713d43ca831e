"""Options that make a network of each backbone small; without an entry its defaults are used."""

SMALL = {
    "resnext3d": {"width": 16, "cardinality": 4, "stage_blocks": (1, 1, 1, 1)},
}
