"""The reconcile runtime: watch, cache, queue, gather, plan (pure), apply, status.

It knows Kubernetes and no domain. A domain imports ``model``, ``status`` and
``meta``, which are pure, and nothing else of it; ``app`` puts the two together.
"""
