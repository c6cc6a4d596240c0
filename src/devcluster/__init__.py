"""A real Kubernetes control plane on one machine, without containers: for tests, demos, a laptop.

import devcluster

with devcluster.start() as cluster:
print(cluster.kubectl("get", "nodes"))
"""

from .cluster import Cluster, find, start
from .errors import DevclusterError
from .second_apiserver import SecondApiServer

__all__ = ["Cluster", "DevclusterError", "SecondApiServer", "find", "start"]
