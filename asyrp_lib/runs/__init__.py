"""Runs: what is trained, described by one frozen object, in a folder named by all it depends on."""
