"""A proxy between one operator process and the API server that fails as its rules say.

The rule kept here: without a rule, every byte of every body passes unchanged.
"""
