//! One node among many: following the shared store, keeping a copy of it, knowing the other nodes.
