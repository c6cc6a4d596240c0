"""A proxy between one operator process and the API server that injects faults by rules.

The rule kept here: without a rule, every byte of every body passes unchanged.
"""
