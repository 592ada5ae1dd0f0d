"""The only sockets to devices: addresses, the outbound guard, TCP."""
