"""Requests and limits: what is not written keeps its default, key by key.

A request is never above its limit: where only one of the two is written and crosses the other's
default, the default gives way.
"""

from __future__ import annotations

from gati.contracts import ResourceRequirements
from gati.spec.fields import Fields, Invalid
from objects.quantity import amount, canonical

DEFAULT_REQUESTS = {"cpu": "100m", "memory": "128Mi"}
DEFAULT_LIMITS = {"cpu": "500m", "memory": "512Mi"}


def parse_resources(fields: Fields) -> ResourceRequirements:
    """The requirements of one container. Raises Invalid."""
    given_requests = quantities(fields.object("requests"))
    given_limits = quantities(fields.object("limits"))
    requests = DEFAULT_REQUESTS | given_requests
    limits = DEFAULT_LIMITS | given_limits
    for name in requests.keys() & limits.keys():
        if amount(requests[name]) <= amount(limits[name]):
            continue
        if name not in given_limits:
            limits[name] = requests[name]
        elif name not in given_requests:
            requests[name] = limits[name]
        else:
            raise Invalid(
                f"{fields.path}.requests.{name}",
                f"is {requests[name]}, more than the limit of {limits[name]}: raise the limit or "
                "lower the request",
            )
    return {"requests": _sorted(requests), "limits": _sorted(limits)}


def quantities(fields: Fields) -> dict[str, str]:
    """Quantities by name, in the API's spelling. Raises Invalid."""
    return {
        name: quantity(value, f"{fields.path}.{name}")
        for name, value in fields.values.items()
        if value is not None
    }


def quantity(value: object, path: str) -> str:
    """One quantity in the API's spelling. Raises Invalid."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Invalid(path, "must be a quantity, for example 500m or 128Mi")
    try:
        return canonical(value)
    except ValueError as error:
        raise Invalid(path, str(error)) from None


def _sorted(quantities: dict[str, str]) -> dict[str, str]:
    return {name: quantities[name] for name in sorted(quantities)}
