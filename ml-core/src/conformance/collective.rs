//! The contract of [`Collective`], as far as one process can see it: every member runs the suite.

use crate::{ErrorKind, collective::Collective};

/// Clause 1: the sums are those of all members.
pub async fn sums_are_the_same_everywhere(subject: impl Collective) {
    let mut ranks = [subject.rank() as f64, 1.0];
    subject.all_reduce_sum(&mut ranks).expect("all members are there");
    let world = subject.world() as f64;
    assert_eq!(ranks, [world * (world - 1.0) / 2.0, world]);
}

/// Clause 2: everybody has the bytes of the root.
pub async fn broadcast_gives_the_roots_bytes(subject: impl Collective) {
    let mut bytes = vec![u8::try_from(subject.rank()).expect("few members")];
    subject.broadcast(0, &mut bytes).expect("all members are there");
    assert_eq!(bytes, [0]);
}

/// Clause 3: there is no member past the last.
pub async fn unknown_root_is_refused(subject: impl Collective) {
    let error = subject.broadcast(subject.world(), &mut Vec::new()).expect_err("no such member");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

/// Runs the suite of [`Collective`](crate::collective::Collective) over a backend.
#[macro_export]
macro_rules! collective_conformance {
    ($factory:expr $(, known_failures: [$($known:expr),* $(,)?])?) => {
        $crate::conformance_tests! {
            $crate::conformance::collective, $factory, [$($($known),*)?];
            sums_are_the_same_everywhere,
            broadcast_gives_the_roots_bytes,
            unknown_root_is_refused,
        }
    };
}
