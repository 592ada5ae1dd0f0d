"""Stage 3's continuous part: cameras whose sessions stay open, what comes of them, and the places that they take."""
