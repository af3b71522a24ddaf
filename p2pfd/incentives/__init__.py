"""Pure integer maths of pay and penalty: the oracle for the contracts."""
