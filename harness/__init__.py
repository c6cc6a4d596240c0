"""A real operator process and its objects, shared by tests, the fault rig and the benchmark."""
