"""Messages and the engine that keeps them."""
