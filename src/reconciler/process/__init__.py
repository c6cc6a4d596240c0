"""One operator process: start and stop, lease, endpoints, logs, metrics, Events."""
