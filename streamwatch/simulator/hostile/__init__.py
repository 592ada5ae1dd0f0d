"""Beside the path: hostile cameras, a table of them by name, each with what a look at it deserves.

`corpus` is the table; a module a theme; `stage` is the connection and the good camera that they deviate from; `server`
gives each an address. Like the whole simulator it shares no protocol code with the product.
"""
