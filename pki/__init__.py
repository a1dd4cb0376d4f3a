"""Certificates: names, parsing, judging a chain, issuing. Knows no tenant and no device."""
