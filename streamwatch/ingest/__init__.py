"""Stage 3: one conversation with one camera, moved over a socket and bounded in time."""
