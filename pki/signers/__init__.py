"""Drivers of the Signer port: where a CA's private key lives."""
