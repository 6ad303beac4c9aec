//! The crates together, as a host uses them.

mod life;
mod promise;
