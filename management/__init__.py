"""What operators talk to: health, metrics and, later, the registry API."""
