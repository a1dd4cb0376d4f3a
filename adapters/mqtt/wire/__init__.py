"""MQTT as a pure function of bytes: packets, codec, connection state."""
