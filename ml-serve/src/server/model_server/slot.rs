use crate::ServedModel;
use ml_core::{
    Model, Signature,
    id::{ModelName, ModelRef, Version},
    runtime::{LoadReport, LoadedModel},
};
use std::sync::{Arc, PoisonError, RwLock};

/// One reference that the server was given, and the version that serves it now.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) at: ModelRef,
    current: RwLock<Option<Arc<Loaded>>>,
}

/// A version that is loaded.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) name: ModelName,
    pub(super) version: Version,
    pub(super) signature: Arc<Signature>,
    pub(super) model: Arc<dyn Model>,
    report: LoadReport,
}

impl Slot {
    pub(super) fn new(at: ModelRef) -> Self {
        Self { at, current: RwLock::new(None) }
    }

    // Only a pointer is copied under the lock, so it is never poisoned and never held for long.
    pub(super) fn current(&self) -> Option<Arc<Loaded>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn swap(&self, loaded: Arc<Loaded>) {
        let old = self.current.write().unwrap_or_else(PoisonError::into_inner).replace(loaded);
        // Freed here, outside the lock, unless requests still hold it.
        drop(old);
    }
}

impl Loaded {
    pub(super) fn new(name: ModelName, version: Version, loaded: LoadedModel) -> Self {
        let LoadedModel { model, report } = loaded;
        Self { name, version, signature: Arc::new(model.signature().clone()), model, report }
    }

    pub(super) fn describe(&self) -> ServedModel {
        ServedModel::new(self.name.clone(), self.version, Arc::clone(&self.signature), self.report.clone())
    }
}
