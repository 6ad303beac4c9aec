//! Sums over all members of a training job: the one thing that distributed training needs.

use crate::{Error, Result};
use std::fmt;

/// The members of a training job.
///
/// Trainers reduce their statistics through it and are the same code on one thread or a cluster.
///
/// # Contract
/// 1. `all_reduce_sum` leaves the same sums in every member's buffer. (check: `sums_are_the_same_everywhere`)
/// 2. `broadcast` leaves the root's bytes in every member's buffer. (check: `broadcast_gives_the_roots_bytes`)
/// 3. A root outside the world is [`InvalidInput`](crate::ErrorKind::InvalidInput). (check: `unknown_root_is_refused`)
pub trait Collective: fmt::Debug + Send + Sync {
    /// The number of this member, from 0.
    fn rank(&self) -> usize;
    /// The number of members, at least 1.
    fn world(&self) -> usize;
    /// Puts the element-wise sum over all members in place of the buffer.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when a member is lost.
    fn all_reduce_sum(&self, buffer: &mut [f64]) -> Result<()>;
    /// Puts the bytes of the member `root` in place of everybody's.
    ///
    /// # Errors
    /// As [`Collective::all_reduce_sum`].
    fn broadcast(&self, root: usize, bytes: &mut Vec<u8>) -> Result<()>;
}

/// A job of one: sums are what they are.
///
/// ```
/// use ml_core::collective::{Collective, Solo};
///
/// let mut sums = [1.0, 2.0];
/// Solo.all_reduce_sum(&mut sums)?;
/// assert_eq!((sums, Solo.world()), ([1.0, 2.0], 1));
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Solo;

impl Collective for Solo {
    fn rank(&self) -> usize {
        0
    }

    fn world(&self) -> usize {
        1
    }

    fn all_reduce_sum(&self, _buffer: &mut [f64]) -> Result<()> {
        Ok(())
    }

    fn broadcast(&self, root: usize, _bytes: &mut Vec<u8>) -> Result<()> {
        if root == 0 { Ok(()) } else { Err(Error::invalid_input("no such member").with("root", root).with("world", 1)) }
    }
}
