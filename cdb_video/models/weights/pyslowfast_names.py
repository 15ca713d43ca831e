"""Names in PyTorchVideo's and PySlowFast's checkpoints -> names in our PyTorchVideo backbones.

PySlowFast's are those in its ``slowfast/models``. Its stages ``s1`` to ``s5`` are left to the
backbone, which knows where each of them stands.
"""

import re

Rules = tuple[tuple[str, str], ...]
"""Regular expressions and what takes the place of each, in the order of their use."""

RESNET_NAMES: Rules = (
    (r"^blocks\.\d\.proj\.", "fc."),
    (r"^head\.projection\.", "fc."),
    (r"^s1\.pathway0_stem\.bn\.", "s1.norm."),
    (r"^s1\.pathway0_stem\.", "s1."),
    (r"^(s[2-5])\.pathway0_res", r"\1.res_blocks."),
    (r"\.branch1\.", ".branch1_conv."),
    (r"\.branch1_bn\.", ".branch1_norm."),
    (r"\.branch2\.([abc])\.", r".branch2.conv_\1."),
    (r"\.branch2\.([abc])_bn\.", r".branch2.norm_\1."),
)
"""PyTorchVideo's head, and the ResNets of PySlowFast."""
SLOWFAST_NAMES: Rules = (
    (r"^(s[1-4])_fuse\.conv_f2s\.", r"\1.multipathway_fusion.conv_fast_to_slow."),
    (r"^(s[1-4])_fuse\.bn\.", r"\1.multipathway_fusion.norm."),
    (r"^s1\.pathway(\d)_stem\.bn\.", r"s1.multipathway_blocks.\1.norm."),
    (r"^s1\.pathway(\d)_stem\.", r"s1.multipathway_blocks.\1."),
    (r"^(s[2-5])\.pathway(\d)_res", r"\1.multipathway_blocks.\2.res_blocks."),
    *RESNET_NAMES,
)
X3D_NAMES: Rules = (
    # PyTorchVideo calls the stem's spatial convolution conv_t and its temporal one conv_xy.
    (r"^s1\.pathway0_stem\.conv\.", "s1.conv.conv_xy."),
    (r"^s1\.pathway0_stem\.conv_xy\.", "s1.conv.conv_t."),
    (r"\.branch2\.b_bn\.", ".branch2.norm_b.0."),
    (r"\.branch2\.se\.fc1\.", ".branch2.norm_b.1.block.0."),
    (r"\.branch2\.se\.fc2\.", ".branch2.norm_b.1.block.2."),
    (r"^head\.conv_5\.", "blocks.5.pool.pre_conv."),
    (r"^head\.conv_5_bn\.", "blocks.5.pool.pre_norm."),
    (r"^head\.lin_5\.", "blocks.5.pool.post_conv."),
    *RESNET_NAMES,
)
MVIT_NAMES: Rules = (
    (r"^head\.proj(ection)?\.", "fc."),
    (r"^patch_embed\.proj\.", "patch_embed.patch_model."),
    (r"^(cls_token|pos_embed_\w+)$", r"cls_positional_encoding.\1"),
    (r"^norm\.", "norm_embed."),
)


def named_as_here(name: str, rules: Rules) -> str:
    """``name`` after all ``rules``. Training in PySlowFast puts ``model.`` in front of the names of
    PyTorchVideo's networks; it is dropped."""
    name = name.removeprefix("model.")
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
