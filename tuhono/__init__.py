"""Builds everything and runs it; the command line."""
