"""Does a service keep the report contract? Asked from outside, of any implementation."""
