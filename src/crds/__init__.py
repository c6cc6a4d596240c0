"""From types to CustomResourceDefinitions, for every group. Pure."""
