//! How behavior suites run: each contract clause of a trait is one check, and each check is one test.
//!
//! A suite is a module of `pub async fn check(subject: impl Trait)` that panic when the contract is broken, and a macro
//! that lists them:
//!
//! ```
//! # #[cfg(feature = "conformance")] mod example {
//! pub mod collective {
//!     pub async fn world_is_not_empty(subject: impl ml_core::collective::Collective) {
//!         assert!(subject.world() > 0);
//!     }
//! }
//!
//! #[macro_export]
//! macro_rules! collective_conformance {
//!     ($factory:expr $(, known_failures: [$($known:expr),* $(,)?])?) => {
//!         ::ml_core::conformance_tests! { $crate::example::collective, $factory, [$($($known),*)?]; world_is_not_empty }
//!     };
//! }
//! # }
//! ```
//!
//! A backend's tests call it with a factory: an expression that gives a future of a fresh, isolated subject and whatever
//! has to live as long (a temporary folder, or `()`). A known failure is a check and its reason, and must still fail:
//!
//! ```text
//! mod memory {
//!     ml_features::online_store_conformance!(async { (MemoryStore::new(), ()) });
//! }
//! mod company {
//!     ml_features::online_store_conformance!(scratch(), known_failures: [("expired_rows_read_as_absent", "hourly sweep, OPS-118")]);
//! }
//! ```

pub mod collective;
pub mod dataset;
pub mod inference_runtime;
pub mod model;
pub mod trainer;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Runs one check on a runtime of its own. Called by [`conformance_tests!`](crate::conformance_tests).
///
/// # Panics
/// When the check panics and is no known failure, or is one and passes.
pub fn run(check: &str, known_failures: &[(&str, &str)], subject: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a test may start threads");
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(subject)));
    match (known_failures.iter().find(|(name, _)| *name == check), outcome) {
        (None, Err(panic)) => resume_unwind(panic),
        (Some((_, reason)), Ok(())) => panic!("{check} passes now: take it off the known failures ({reason})"),
        (None, Ok(())) | (Some(_), Err(_)) => {}
    }
}

/// Turns the checks of a suite into tests, each on a fresh subject. Called by the macros of the suites.
#[macro_export]
macro_rules! conformance_tests {
    ($suite:path, $factory:expr, $known:expr; $($check:ident),+ $(,)?) => {
        $(
            #[test]
            fn $check() {
                use $suite as suite;
                let known: &[(&str, &str)] = &$known;
                $crate::conformance::run(stringify!($check), known, async {
                    let (subject, _keep) = $factory.await;
                    suite::$check(subject).await;
                });
            }
        )+
    };
}
