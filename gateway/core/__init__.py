"""What the gateway concludes, as functions of values and `now`. Pure."""
