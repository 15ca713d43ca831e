"""Decodes with TorchCodec on the GPU (NVDEC), by choice; on the CPU where that is not to be had."""

import sys
from functools import cache
from typing import Any

import torch

from cdb_video.data.decode.torchcodec import TorchCodecDecoder
from cdb_video.registry import DECODERS


@DECODERS.register("torchcodec_cuda")
class TorchCodecCudaDecoder(TorchCodecDecoder):
    """As ``torchcodec``, on the GPU's own decoder where there is one, else on the CPU.

    A process that was forked cannot use the GPU: take DATA_LOADER.NUM_WORKERS 0. Colours may differ
    a little from the CPU's, as other hardware converts them.
    """

    def _open(self, path: str, **options: Any) -> Any:
        reason = _why_not()
        if not reason:
            try:
                return super()._open(path, device="cuda", **options)
            except RuntimeError as error:
                # Not every codec and size has a decoder in hardware, nor every build of TorchCodec.
                reason = " ".join(str(error).split())[:160]
        _say(reason)
        return super()._open(path, **options)


def _why_not() -> str:
    if not torch.cuda.is_available():
        return "there is no CUDA device"
    if torch.cuda._is_in_bad_fork():
        return "a decoding process cannot use it, DATA_LOADER.NUM_WORKERS 0 can"
    return ""


@cache
def _say(reason: str) -> None:
    print(f"DATA.DECODER torchcodec_cuda decodes on the CPU: {reason}", file=sys.stderr)
