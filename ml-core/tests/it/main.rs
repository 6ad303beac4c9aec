//! Integration tests of ml-core.
