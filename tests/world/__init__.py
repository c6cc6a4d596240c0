"""The world: real loops against an in-memory API server, with fake controllers and a fake clock."""

import pytest

# The scripts of the conformance table assert beside their calls.
pytest.register_assert_rewrite("world.conformance")
