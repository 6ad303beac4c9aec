//! Integration tests of ml-serve.
