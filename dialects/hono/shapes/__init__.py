"""JSON of the API to domain values and back."""
