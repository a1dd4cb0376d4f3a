"""The CoAP adapter."""
