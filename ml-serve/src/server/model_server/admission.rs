use crate::Readiness;
use ml_core::{Error, Result};
use std::{
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Lets requests in: as many as fit, and none once closed. Every request under way holds a permit, so whoever holds them
/// all knows that none is.
#[derive(Debug)]
pub(super) struct Admission {
    permits: Arc<Semaphore>,
    max_in_flight: NonZeroU16,
    draining: AtomicBool,
    closed: AtomicBool,
}

impl Admission {
    pub(super) fn new(max_in_flight: NonZeroU16) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(max_in_flight.get().into())),
            max_in_flight,
            draining: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    pub(super) fn enter(&self) -> Result<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        // Looked at after the permit: a request that gets one before `close` counts is either seen here or waited for there.
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::unavailable("the server is closed"));
        }
        permit.map_err(|_| {
            Error::resource_exhausted("too many requests are under way").with("max_in_flight", self.max_in_flight)
        })
    }

    pub(super) fn readiness(&self) -> Readiness {
        if self.closed.load(Ordering::SeqCst) {
            Readiness::Closed
        } else if self.draining.load(Ordering::SeqCst) {
            Readiness::Draining
        } else {
            Readiness::Ready
        }
    }

    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let all = self.permits.acquire_many(self.max_in_flight.get().into()).await;
        drop(all.expect("the semaphore is never closed"));
    }
}
