"""Keys that have, or had, another name: their names here."""

from typing import Any

from cdb_video.config.tree import Selection, component_options, merge, parse_overrides
from cdb_video.config.types import coerce
from cdb_video.errors import ConfigError

MOVED = {
    "TEST.GROUPS": "GROUPS.NAME",
    "TEST.GROUP_COUNTS": "GROUPS.COUNTS",
    "TEST.GROUP_THRESHOLDS": "GROUPS.BY_THRESHOLDS.THRESHOLDS",
    "TEST.GROUP_NAMES": "GROUPS.BY_THRESHOLDS.NAMES",
    "TEST.GROUP_FILE": "GROUPS.FILE.PATH",
    "TEST.HEAD_SHARE": "GROUPS.HEAD_TAIL_FEWSHOT.HEAD_SHARE",
    "TEST.HEAD_ROUNDING": "GROUPS.HEAD_TAIL_FEWSHOT.HEAD_ROUNDING",
    "TEST.FEW_SHOT": "GROUPS.HEAD_TAIL_FEWSHOT.FEW_SHOT",
}
"""Key of version 0.1 -> its name now; the old one is understood."""
SHORT = {"TRAIN.MIXED_PRECISION": ("PRECISION", "fp32", "bf16")}
"""A switch, as PySlowFast has it -> the option of its section that it is short for, and what that
is where the switch is off and on."""
OF_EACH = "RETRAIN"
"""A section whose options stood in it once and are those of each of its components now."""
PYSLOWFAST = {
    "MODEL.LOSS_FUNC": "LOSS.NAME",
    "MODEL.MODEL_NAME": "MODEL.NAME",
    "MODEL.ARCH": "MODEL.NAME",
    "MODEL.NUM_CLASSES": "nothing: the dataset knows its classes",
    "MODEL.HEAD_ACT": "nothing: test files hold probabilities",
    "MODEL.FREEZE_BN": "MODEL.FROZEN_BN",
    "MODEL.DROPCONNECT_RATE": "MODEL.<BACKBONE>.DROP_PATH_RATE",
    "MODEL.ACT_CHECKPOINT_ENABLE": "MODEL.ACT_CHECKPOINT",
    "TRAIN.ENABLE": "the command: tools/train_net.py trains and does not test",
    "TEST.ENABLE": "the command: tools/test_net.py tests and does not train",
    "TRAIN.DATASET": "DATA.NAME",
    "TEST.DATASET": "DATA.NAME",
    "TRAIN.CHECKPOINT_FILE_PATH": "MODEL.PRETRAINED",
    "TRAIN.CHECKPOINT_TYPE": "nothing: MODEL.PRETRAINED knows the formats it reads",
    "TEST.CHECKPOINT_TYPE": "nothing: TEST.CHECKPOINT_FILE_PATH knows the formats it reads",
    "TRAIN.CHECKPOINT_INFLATE": "nothing: 2D kernels are inflated where the network is 3D",
    "TRAIN.CHECKPOINT_EPOCH_RESET": "MODEL.PRETRAINED, which starts at epoch 1",
    "TRAIN.CHECKPOINT_CLEAR_NAME_PATTERN": "nothing: names are matched by the backbone",
    "DATA.TRAIN_CROP_SIZE": "DATA.CROP_SIZE",
    "DATA.TEST_CROP_SIZE": "DATA.CROP_SIZE",
    "DATA.TRAIN_JITTER_SCALES": "AUG.CROP_SCALE, in fractions of the short side",
    "DATA.DECODING_BACKEND": "DATA.DECODER",
    "DATA.RANDOM_FLIP": "AUG.FLIP",
    "DATA.ENSEMBLE_METHOD": "TEST.ENSEMBLE_METHOD",
    "DATA.PATH_TO_DATA_DIR": "DATA.<DATASET>.ROOT",
    "DATA.PATH_PREFIX": "DATA.LIST.PREFIX, with DATA.NAME list",
    "DATA.PATH_LABEL_SEPARATOR": "DATA.LIST.SEPARATOR, with DATA.NAME list",
    "DATA.TARGET_FPS": "DATA.SAMPLING_FPS",
    "DATA.INPUT_CHANNEL_NUM": "nothing: clips are RGB",
    "MIXUP.ENABLE": "MIX.NAME mixup, cutmix or mixup_or_cutmix",
    "MIXUP.ALPHA": "MIX.MIXUP.ALPHA",
    "MIXUP.CUTMIX_ALPHA": "MIX.CUTMIX.ALPHA",
    "MIXUP.PROB": "nothing: every batch is mixed",
    "MIXUP.SWITCH_PROB": "MIX.MIXUP_OR_CUTMIX.CUTMIX_SHARE",
    "MIXUP.LABEL_SMOOTH_VALUE": "LOSS.CROSS_ENTROPY.LABEL_SMOOTHING",
    "AUG.ENABLE": "nothing: each option of AUG says for itself whether it is on",
    "BN.NORM_TYPE": "nothing: batch norm is averaged over processes before validation",
    "BN.WEIGHT_DECAY": "SOLVER.ZERO_WD_1D_PARAM",
    "SOLVER.BASE_LR_SCALE_NUM_SHARDS": "nothing: SOLVER.BASE_LR is never rescaled",
    "SOLVER.CLIP_GRAD_VAL": "SOLVER.CLIP_GRAD_L2NORM",
    "NUM_GPUS": "torchrun --nproc_per_node N",
    "NUM_SHARDS": "torchrun --nnodes N",
    "SHARD_ID": "torchrun --node_rank N",
    "DIST_BACKEND": "nothing: NCCL on GPUs, gloo on a CPU",
    "LOG_MODEL_INFO": "cdb-video check-backbone NAME",
    "TENSORBOARD.ENABLE": "LOGGER '[]' without, LOGGER '[tensorboard]' with",
}
"""Key of PySlowFast -> what to write here."""


def with_new_names(tree: dict[str, Any]) -> dict[str, Any]:
    """A tree with the keys of ``MOVED`` under their new names. A new name wins over an old one."""
    moved = parse_overrides(
        {
            new: tree[section][key]
            for old, new in MOVED.items()
            for section, key in [old.split(".")]
            if isinstance(tree.get(section), dict) and key in tree[section]
        }
    )
    left = {
        section: {key: v for key, v in node.items() if f"{section}.{key}" not in MOVED}
        if isinstance(node, dict)
        else node
        for section, node in tree.items()
    }
    return merge(moved, left)


def without_switches(tree: dict[str, Any]) -> dict[str, Any]:
    """A whole tree in which the switches of ``SHORT`` are replaced by their options.

    Raises:
        ConfigError: a switch is neither on nor off, or is on beside a third value of its option.
    """
    for switch, (option, off, on) in SHORT.items():
        section, key = switch.split(".")
        node = tree.get(section)
        if not isinstance(node, dict) or key not in node:
            continue
        left = {name: given for name, given in node.items() if name != key}
        if coerce(node[key], bool, switch):
            if left.get(option, off) not in (off, on):
                raise ConfigError(
                    f"{switch} is {section}.{option} {on}, got {section}.{option} {left[option]}"
                )
            left[option] = on
        tree = {**tree, section: left}
    return tree


def to_each_component(tree: dict[str, Any], kind: type[Selection]) -> dict[str, Any]:
    """A section whose own options are copied into each component that has them.

    Args:
        tree: of a section ``kind``.
    """
    own = {kind.choice.upper()}
    components = component_options(kind)
    found = {key: value for key, value in tree.items() if key in own or key in components}
    for key, value in tree.items():
        owners = [name for name, fields in components.items() if key in fields]
        for name in owners:
            found[name] = {key: value, **found.get(name, {})}
        if not owners:
            found.setdefault(key, value)
    return found
