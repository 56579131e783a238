"""How the parts of a stack are connected: functions that register resources and return what others need of them.

Not ComponentResources: a parent is part of the URN of its children, so a new one would recreate everything below it.
"""
