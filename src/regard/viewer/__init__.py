"""Static files that show what a lens saw: no build, no network."""
