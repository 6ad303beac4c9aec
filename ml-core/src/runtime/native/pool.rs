//! The rows of a call shared between threads.

use crate::{Compute, Result};
use rayon::prelude::*;
use std::{num::NonZeroUsize, ops::Range};

/// Rows below which a thread costs more than it saves, and of which parts are whole multiples: kernels work on so many at once.
const ROWS: usize = 64;

/// Threads for the calls of one model.
#[derive(Debug)]
pub(super) struct Pool {
    compute: Compute,
    threads: NonZeroUsize,
}

impl Pool {
    /// The pool of the host, if it has one, otherwise one of the model's own; nothing for a single thread.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when the system gives no threads.
    pub(super) fn new(threads: NonZeroUsize, compute: Option<&Compute>) -> Result<Option<Self>> {
        let threads = match compute.and_then(|compute| NonZeroUsize::new(compute.threads())) {
            Some(most) => threads.min(most),
            None => threads,
        };
        if threads == NonZeroUsize::MIN {
            return Ok(None);
        }
        let compute = compute.map_or_else(|| Compute::new(threads), |compute| Ok(compute.clone()))?;
        Ok(Some(Self { compute, threads }))
    }

    pub(super) fn threads(&self) -> NonZeroUsize {
        self.threads
    }

    /// Parts of so many rows, one a thread at most; none where one thread does them as well.
    pub(super) fn parts(&self, rows: usize) -> Vec<Range<usize>> {
        let each = rows.div_ceil(self.threads.get()).next_multiple_of(ROWS);
        if each >= rows {
            return Vec::new();
        }
        (0..rows).step_by(each).map(|start| start..rows.min(start + each)).collect()
    }

    /// Does all parts; what they make is in their order.
    pub(super) fn run<T: Send>(
        &self,
        parts: Vec<Range<usize>>,
        work: impl Fn(Range<usize>) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let work = |part: Range<usize>| {
            let first = part.start;
            work(part).map_err(|error| error.with("counted_from_row", first))
        };
        self.compute.install(|| parts.into_par_iter().map(work).collect())
    }
}
