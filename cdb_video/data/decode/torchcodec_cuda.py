"""The optional decoder TorchCodec on the GPU (NVDEC), with the CPU as fallback."""

import sys
from functools import cache
from typing import Any

import torch

from cdb_video.data.decode.torchcodec import TorchCodecDecoder
from cdb_video.registry import DECODERS


@DECODERS.register("torchcodec_cuda")
class TorchCodecCudaDecoder(TorchCodecDecoder):
    """As ``torchcodec``, on the GPU's own decoder if it has one, else on the CPU.

    A forked process cannot use the GPU: set DATA_LOADER.NUM_WORKERS to 0. Colours may differ a
    little from the CPU's, because other hardware converts them.
    """

    def _open(self, path: str, **options: Any) -> Any:
        reason = _why_not()
        if not reason:
            try:
                return super()._open(path, device="cuda", **options)
            except RuntimeError as error:
                # Some codecs, sizes and builds of TorchCodec have no hardware decoder.
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
