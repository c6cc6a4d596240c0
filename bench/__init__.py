"""The benchmark: how fast, how small and how quiet the operator is, against a floor and targets."""
