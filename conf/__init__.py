"""Settings: one frozen section a room, read once at start. Rules live beside the fields; loading.py applies them."""
