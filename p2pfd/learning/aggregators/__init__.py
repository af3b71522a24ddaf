"""Rules that combine what was heard (plug-ins)."""
