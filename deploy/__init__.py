"""What runs mailapp: the topology on one machine, its start, and the image's parts."""
