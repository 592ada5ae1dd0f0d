"""The commands: they parse, call one function, print, and turn what happened into an exit status."""
