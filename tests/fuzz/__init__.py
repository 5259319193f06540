"""Hostile files for every reader: mutations, the readers, and children in which a crash or a hang stays contained.

``PYTHONPATH=tests python -m fuzz`` is the nightly run (``make nightly``); `tests/properties/test_fuzz.py` is a slice.
"""
