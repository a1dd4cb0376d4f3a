"""Turns a peer's evidence into a device, or refuses with one stable word."""
