"""Live connections of this process, and the way of a message from them to the engine."""
