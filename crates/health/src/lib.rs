//! Which targets can be used: probes, observations of traffic, and what is known of each address.
