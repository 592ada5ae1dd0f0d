"""Values that cross a stage boundary, in the order of the path: inventory, look, report, standing, timeline."""
