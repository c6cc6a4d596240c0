"""The operator at work on a real control plane: ``python -m demo`` (``make demo``).

The rule kept here: every line about the cluster, and every row of the closing table, is read from
the API server. A step whose outcome cannot be read there has failed.
"""
