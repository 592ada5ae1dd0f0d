"""The composition root: builds, loops and joins; rules about cameras live left of here."""
