"""What a GatiHandler's status says: observe the Deployment, judge it, word it, announce changes."""
