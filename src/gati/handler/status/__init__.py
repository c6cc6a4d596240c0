"""The status of a GatiHandler: observe the Deployment, judge it, build conditions and Events."""
