"""`python -m devcluster` is the command `devcluster`."""

from .cli import main

main()
