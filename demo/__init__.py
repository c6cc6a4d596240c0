"""The main job, shown on a real control plane: ``python -m demo`` (``make demo``).

The rule kept here: nothing is printed from intent. Each line about the cluster, and each row of
the closing table, is what the API server answered; a step that cannot be seen there has failed.
"""
