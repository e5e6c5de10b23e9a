"""Long inputs cut into segments, computed by worker processes, journaled, resumed and joined."""
