"""Stage 1: lists of villages and cameras -> what the store must change, with every bad line named."""
