"""The Gati operator (``gati.dev``): handlers, modules and versions of a Gati application."""
