//! Integration tests of ml-serve.

mod http;
mod path;
mod property;
mod server;
mod support;
mod swap;
mod wire;
