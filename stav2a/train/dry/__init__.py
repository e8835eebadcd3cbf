"""A dry run of a training: the real layout, narrow networks, two steps, and what the real ones would cost."""
