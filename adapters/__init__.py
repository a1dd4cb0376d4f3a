"""What devices talk to: one folder a protocol, over sessions, admission and edge."""
