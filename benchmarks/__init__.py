"""Benchmarks: one question a file. They print figures and ratios; they pass and fail nothing."""
