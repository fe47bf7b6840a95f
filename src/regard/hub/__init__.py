"""Models of the transformers library, as they are: loaded from a folder or the hub, and looked at."""
