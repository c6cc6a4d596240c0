"""The fault rig: operator processes, a fault proxy for each, plans of faults, and oracles."""
