"""Files in: what was read of each, exactly once, across kills, rotation and truncation."""
