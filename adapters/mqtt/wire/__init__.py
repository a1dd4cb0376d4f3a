"""MQTT 3.1.1 and 5 as a pure function of bytes: packets, decoder, encoder, connection state.

Clauses are cited by their number in MQTT 5; `[3.1.1: …]` marks the number of the older text where only that one
has the rule. Nothing here awaits, reads a clock or opens a socket.
"""
