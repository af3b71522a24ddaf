"""The roles as pure machines."""
