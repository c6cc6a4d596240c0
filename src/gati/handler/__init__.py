"""The GatiHandler: its plan, its children, and its status."""
