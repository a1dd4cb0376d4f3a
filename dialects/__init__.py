"""Foreign API shapes over the domain: parse, call a service, render. No rule, no query, no state."""
