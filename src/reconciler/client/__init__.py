"""Access to one API server: verbs, connections, credentials."""
