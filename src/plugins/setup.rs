//! From a server block to its chain, in CoreDNS's fixed order.
