//! The crossing from async code to CPU work, on a pool that the host owns.

use crate::{Error, Result};
use std::{num::NonZeroUsize, panic::AssertUnwindSafe, sync::Arc};
use tokio::sync::oneshot;

/// A rayon pool for CPU work, shared by clones. The library never uses rayon's global pool.
///
/// ```
/// use ml_core::Compute;
/// use std::num::NonZeroUsize;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let compute = Compute::new(NonZeroUsize::new(2).unwrap())?;
/// assert_eq!(compute.run(|| 6 * 7).await?, 42);
/// # Ok::<(), ml_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Compute(Arc<rayon::ThreadPool>);

impl Compute {
    /// Starts a pool of its own.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when the system gives no threads.
    pub fn new(threads: NonZeroUsize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.get())
            .thread_name(|i| format!("ml-compute-{i}"))
            .build()
            .map_err(|source| {
                Error::unavailable("threads could not be started").with("threads", threads).with_source(source)
            })?;
        Ok(Self(Arc::new(pool)))
    }

    /// The number of threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.0.current_num_threads()
    }

    /// Runs `job` on the pool without blocking the async caller.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal) when the job panics; the pool and the process live on.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the job running; pass it a [`CancelToken`](crate::CancelToken) to end it.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        self.0.spawn(move || {
            let _ = sender.send(std::panic::catch_unwind(AssertUnwindSafe(job)));
        });
        match receiver.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(panic)) => {
                let text = panic
                    .downcast_ref::<&str>()
                    .map(ToString::to_string)
                    .or_else(|| panic.downcast_ref::<String>().cloned());
                Err(Error::internal("a job panicked").with("panic", text.unwrap_or_else(|| "no message".into())))
            }
            Err(source) => Err(Error::unavailable("the pool is gone").with_source(source)),
        }
    }

    /// Runs `job` inside the pool from CPU code, so that its parallel iterators use these threads.
    pub fn install<T: Send>(&self, job: impl FnOnce() -> T + Send) -> T {
        self.0.install(job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panicking_job_is_an_error_and_the_pool_lives() {
        let compute = Compute::new(NonZeroUsize::MIN).expect("threads");
        let error = compute.run(|| -> u8 { panic!("boom") }).await.expect_err("panicked");
        assert_eq!(error.to_string(), "a job panicked (panic: boom)");
        assert_eq!(compute.run(|| 1).await.expect("alive"), 1);
    }
}
