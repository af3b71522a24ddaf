"""What it pays to be honest, and what not to be: strategies played against the pay rules themselves."""
