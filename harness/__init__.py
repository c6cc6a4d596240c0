"""What tests, the fault rig and the benchmark share: a real operator process and its objects."""
