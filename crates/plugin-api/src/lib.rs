//! All that the author of a plugin sees.
