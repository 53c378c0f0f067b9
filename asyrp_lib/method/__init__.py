"""The method: time grids, h-space, the asymmetric process, its intervals, its loss and its training."""
