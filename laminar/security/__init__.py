"""Authentication methods and password verifiers."""
