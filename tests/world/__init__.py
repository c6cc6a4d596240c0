"""The world: real loops against an in-memory API server, with fake controllers and a fake clock."""
