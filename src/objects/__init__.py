"""What is true of Kubernetes objects for any operator. Pure."""
