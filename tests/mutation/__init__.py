"""How many small mistakes in the pure packages would go unnoticed by the tests: `make mutation`."""
