"""What tasks that read pictures share: bringing them to one size, and changing them while training."""
