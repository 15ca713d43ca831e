"""Options that make a network of each backbone small; without an entry its defaults are used."""

SMALL = {
    "lenet": {},
    "resnet2d": {"depth": 10, "width": 8},
    "resnet3d": {"depth": 10, "width": 8},
    "resnet_cifar": {"depth": 8, "width": 8},
    "resnext3d": {"width": 16, "cardinality": 4, "stage_blocks": (1, 1, 1, 1)},
}
