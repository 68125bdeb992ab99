"""`plan -f` and `simulate`: the daemon's planner asked with files alone, without a cluster."""
