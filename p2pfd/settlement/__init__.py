"""The one settlement interface and the chains behind it."""
