"""What an image says of itself: software bills of materials (SBOMs)."""
