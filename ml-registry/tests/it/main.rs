//! Integration tests of ml-registry.
