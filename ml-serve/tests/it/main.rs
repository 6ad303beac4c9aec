//! Integration tests of ml-serve.

mod client;
mod http;
mod path;
mod property;
mod server;
mod support;
mod swap;
mod wire;
