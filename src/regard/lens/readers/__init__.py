"""What others call attention, read as it is computed: one file a family."""
