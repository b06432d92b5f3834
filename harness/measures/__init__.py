"""What is measured: one file each, a row of integers a study and values of totals."""
