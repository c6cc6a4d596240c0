"""The fault rig: operators as processes, a fault proxy before each, plans and what judges them."""
