"""Devices, their credentials, and how a trusted stranger becomes one of them."""
