"""The programs: the only place where a domain and the runtime meet."""
