//! Integration tests of ml-core.

mod collective;
