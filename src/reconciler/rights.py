"""The rights that a set of controllers needs, derived from what they watch and write. Pure.

The shipped RBAC is tested against this list, and the list against the audit log; so neither a
missing right nor one too many goes unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterable

from contract.plan import Controller, Right

READ = ("get", "list", "watch")
WRITE = ("create", "patch")


def rights(controllers: Iterable[Controller], *, events: bool = True) -> list[Right]:
    """What the controllers' process must be allowed in the namespaces it looks at.

    A parent is got before a missing child is made anew and after a status whose answer was lost,
    and a child when its name is taken; both are listed and watched. A child is applied (authorised
    as create and patch) and, where a plan can do without it, deleted.
    What is only read is listed and watched. A status is applied: patch. The finalizers are not
    touched: clusters that enforce permissions on owner references ask for that right of whoever
    makes a child that blocks its owner's deletion.
    """
    found: set[Right] = set()
    for controller in controllers:
        kind = controller.kind
        found |= {Right(kind.group, kind.plural, verb) for verb in READ}
        if any(watch.child for watch in controller.watches):
            found.add(Right(kind.group, f"{kind.plural}/finalizers", "update"))
        found.add(Right(kind.group, f"{kind.plural}/status", "patch"))
        for watch in controller.watches:
            verbs: tuple[str, ...] = (*READ, *WRITE) if watch.child else ("list", "watch")
            if watch.child and watch.removable:
                verbs = (*verbs, "delete")
            found |= {Right(watch.kind.group, watch.kind.plural, verb) for verb in verbs}
    if events:
        found |= {Right("", "events", verb) for verb in ("create", "patch")}
    return sorted(found)
