"""What every room shares: ids, time, the kinds of error, log fields. Standard library only."""
