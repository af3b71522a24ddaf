"""Conformance kits that plug-in authors run on their own code."""
