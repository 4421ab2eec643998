"""What an operator runs: organisations, their sites, the gateways there, and the claims that let new ones in."""
