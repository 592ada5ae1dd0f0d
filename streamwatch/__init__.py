"""streamwatch: watches surveillance cameras, village by village, and says truthfully how long they were up."""

__version__ = "0.1.0"
