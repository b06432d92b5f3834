"""Who is judged."""
