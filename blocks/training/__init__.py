"""What a model learns by."""
