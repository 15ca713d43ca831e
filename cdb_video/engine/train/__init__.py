"""Train: the loop (``loop.py``, read it first) and what it needs."""
