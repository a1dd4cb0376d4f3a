"""CoAP's message layer as a pure function of datagrams."""
