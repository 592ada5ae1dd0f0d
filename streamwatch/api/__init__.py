"""Stage 12: the HTTP API. Handlers load or answer 404, make one call and return one model; they contain no rules."""
