//! Integration tests of ml-features.
