"""The one error this package raises on purpose: its text is a whole, clear line for a person."""

from __future__ import annotations


class DevclusterError(Exception):
    """Something a user can act on; the command line prints it without a traceback."""
