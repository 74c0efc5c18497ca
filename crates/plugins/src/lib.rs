//! The bundled plugins: the one table.
