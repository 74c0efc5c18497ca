//! Backups of a store: written while it serves, verified, restored, kept for as long as wanted.
