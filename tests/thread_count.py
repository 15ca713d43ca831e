"""How many threads torch computes with while a test runs."""

from contextlib import contextmanager

import torch


@contextmanager
def threads(number):
    """``number`` of them, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
