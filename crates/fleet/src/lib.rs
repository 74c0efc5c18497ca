//! Real servers for tests and demonstrations: PostgreSQL, Redis, nginx, Prometheus and Silverback nodes on free ports.
