//! The model server of ml-platform: models by name, swapped while they serve, over the Open Inference Protocol v2.
//!
//! [`Server`] is what a front end needs and knows no protocol. [`ModelServer`] keeps models from a
//! [`ModelSource`](ml_core::port::ModelSource) loaded and answers from them; `http::router` puts any server on the wire.

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "http")]
pub mod http;
mod memory_source;
mod readiness;
mod request;
mod served_model;
pub mod server;

pub use memory_source::MemorySource;
pub use readiness::Readiness;
pub use request::{MAX_ID_BYTES, Request, Response};
pub use served_model::ServedModel;
pub use server::{ModelServer, Server};
