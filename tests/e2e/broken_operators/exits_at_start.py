"""An operator that ends before it has done anything, as with a wrong flag or a missing module."""

import sys

sys.exit("exits_at_start: broken for a test")
