"""The GatiHandler: its plan, what it wants to exist, and what its status says."""
