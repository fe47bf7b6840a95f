"""From scores to weights over keys. A row with no permitted key is all zero, never NaN."""
