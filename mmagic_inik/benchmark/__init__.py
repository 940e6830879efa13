"""Tables of scores: several networks on several test sets."""
