//! ml-registry.
