use crate::{Result, id::FeatureRef};
use arrow::array::RecordBatch;
use async_trait::async_trait;
use std::{fmt, sync::Arc};

/// Where a server gets the features of an entity when a request carries keys only.
#[async_trait]
pub trait FeatureSource: fmt::Debug + Send + Sync + 'static {
    /// Brings the latest values: one row a key, in order, one column a feature named `view:feature`; null where nothing is known.
    ///
    /// `keys` holds the key columns of the entities, under the names of the entities' keys.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) for an unknown view or feature,
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for keys of another type than the entity's.
    async fn lookup(&self, features: &[FeatureRef], keys: &RecordBatch) -> Result<RecordBatch>;
}

#[async_trait]
impl<S: FeatureSource + ?Sized> FeatureSource for Arc<S> {
    async fn lookup(&self, features: &[FeatureRef], keys: &RecordBatch) -> Result<RecordBatch> {
        (**self).lookup(features, keys).await
    }
}
