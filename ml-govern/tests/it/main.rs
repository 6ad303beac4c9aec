//! Integration tests of ml-govern.
